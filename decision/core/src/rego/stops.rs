//! Where the machine stops in a program, and what is paid for there.
//!
//! It stops at the beginning of each body of a rule, a loop or a comprehension, behind each instruction whose cost depends
//! on values, and before each one that may fail. A stop pays at once for all instructions up to the next one, and for the
//! values of the one behind which it stands. So nothing is used before it is paid for, and every loop and every call
//! comes by a stop.

use regorus::rvm::instructions::{Instruction, InstructionData, LiteralOrRegister, LoopStartParams};

/// A call of a rule or of a function keeps a window of registers.
const CALL: u32 = 64;
/// A loop keeps its place.
const LOOP: u32 = 4;

/// One stop.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Stop {
    /// Units of the instructions up to the next stop, without values.
    pub(super) units: u32,
    /// What is paid for by its size.
    pub(super) weighed: Vec<Weighed>,
    /// Whether an instruction that may fail stands behind it, and a stop behind that.
    pub(super) is_mark: bool,
}

/// What is paid for by its size, each in a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weighed {
    /// A value.
    Value(u8),
    /// A list or an object, which is searched from the front. A set is searched by order, so nothing else is paid for.
    List(u8),
    /// A step of a loop. In a set or an object the next place is found by comparing with the last.
    Step { collection: u8, key: u8, value: u8 },
    /// A member to be set in an object, which must not have another value already.
    Member { object: u8, key: u8, value: u8 },
}

/// What is paid for at each step of a loop.
pub(super) fn step(params: &LoopStartParams) -> Weighed {
    Weighed::Step { collection: params.collection, key: params.key_reg, value: params.value_reg }
}

/// Units of an instruction, without values.
pub(super) fn units(instruction: Instruction) -> u32 {
    match instruction {
        Instruction::FunctionCall { .. } | Instruction::CallRule { .. } => CALL.saturating_add(1),
        Instruction::LoopStart { .. } | Instruction::ComprehensionBegin { .. } => LOOP.saturating_add(1),
        _ => 1,
    }
}

/// What is paid for before an instruction is done that may fail, or may overwrite what must not change; none of others.
pub(super) fn before(instruction: Instruction, data: &InstructionData) -> Option<Vec<Weighed>> {
    match instruction {
        Instruction::Add { left, right, .. }
        | Instruction::Sub { left, right, .. }
        | Instruction::Mul { left, right, .. }
        | Instruction::Div { left, right, .. }
        | Instruction::Mod { left, right, .. }
        | Instruction::Lt { left, right, .. }
        | Instruction::Le { left, right, .. }
        | Instruction::Gt { left, right, .. }
        | Instruction::Ge { left, right, .. }
        | Instruction::And { left, right, .. }
        | Instruction::Or { left, right, .. } => Some(values(&[left, right])),
        Instruction::BuiltinCall { params_index } => {
            Some(data.get_builtin_call_params(params_index).map_or(Vec::new(), |params| values(params.arg_registers())))
        }
        Instruction::ObjectSet { obj, key, value } => {
            Some(vec![Weighed::Value(key), Weighed::Value(value), Weighed::Member { object: obj, key, value }])
        }
        _ => None,
    }
}

/// What is paid for behind an instruction, with the registers as they are after it.
pub(super) fn after(instruction: Instruction, data: &InstructionData) -> Vec<Weighed> {
    let made = |dest: Option<u8>| dest.map(Weighed::Value).into_iter().collect();
    match instruction {
        Instruction::Add { dest, .. }
        | Instruction::Sub { dest, .. }
        | Instruction::Mul { dest, .. }
        | Instruction::Div { dest, .. }
        | Instruction::Mod { dest, .. } => values(&[dest]),
        Instruction::Eq { left, right, .. }
        | Instruction::Ne { left, right, .. }
        | Instruction::AssertEq { left, right }
        | Instruction::PolicyCondition { left, right, .. } => values(&[left, right]),
        // The result of a rule: definitions of one rule are compared with each other.
        Instruction::Move { dest: 0, src } => values(&[src]),
        Instruction::ArrayPush { value, .. }
        | Instruction::ArrayPushDefined { value, .. }
        | Instruction::SetAdd { value, .. } => values(&[value]),
        Instruction::ComprehensionYield { value_reg, key_reg } => {
            key_reg.into_iter().chain([value_reg]).map(Weighed::Value).collect()
        }
        Instruction::ObjectCreate { params_index } => {
            made(data.get_object_create_params(params_index).map(|params| params.dest))
        }
        Instruction::ArrayCreate { params_index } => {
            made(data.get_array_create_params(params_index).map(|params| params.dest))
        }
        Instruction::SetCreate { params_index } => {
            made(data.get_set_create_params(params_index).map(|params| params.dest))
        }
        Instruction::BuiltinCall { params_index } => {
            made(data.get_builtin_call_params(params_index).map(|params| params.dest))
        }
        Instruction::VirtualDataDocumentLookup { params_index } => {
            made(data.get_virtual_data_document_lookup_params(params_index).map(|params| params.dest))
        }
        Instruction::Contains { collection, value, .. } => vec![Weighed::Value(value), Weighed::List(collection)],
        Instruction::Index { key, .. } => values(&[key]),
        Instruction::ChainedIndex { params_index } => {
            let components = data.get_chained_index_params(params_index).map_or(&[][..], |it| &it.path_components);
            let in_register = |component: &LiteralOrRegister| match component {
                LiteralOrRegister::Register(register) => Some(Weighed::Value(*register)),
                LiteralOrRegister::Literal(_) => None,
            };
            components.iter().filter_map(in_register).collect()
        }
        _ => Vec::new(),
    }
}

fn values(registers: &[u8]) -> Vec<Weighed> {
    registers.iter().copied().map(Weighed::Value).collect()
}
