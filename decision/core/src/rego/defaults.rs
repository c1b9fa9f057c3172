//! Defaults of a module. Each is evaluated while the module is compiled, by an interpreter that nothing bounds, and one
//! that cannot be evaluated is left out without a word. So a default is a value that is written out, as regorus' own
//! parser reads it.

use regorus::unstable::{Expr, Module, Parser, Rule, Source};

use super::error::{ModuleError, ModuleProblem};

/// Refuses every other default. What the parser cannot read is left to the compiler, which says why.
pub(super) fn check(text: &str) -> Result<(), ModuleError> {
    let Some(module) = parsed(text) else { return Ok(()) };
    for rule in &module.policy {
        if let Rule::Default { span, args, value, .. } = rule.as_ref()
            && !(args.is_empty() && is_written_out(value))
        {
            let line = usize::try_from(span.line).ok();
            return Err(ModuleError { line, problem: ModuleProblem::Construct("a default that is not written out") });
        }
    }
    Ok(())
}

fn parsed(text: &str) -> Option<Module> {
    let source = Source::from_contents("rego".to_owned(), text.to_owned()).ok()?;
    let mut parser = Parser::new(&source).ok()?;
    parser.enable_rego_v1().ok()?;
    parser.parse().ok()
}

/// JSON, or a set of such values.
fn is_written_out(value: &Expr) -> bool {
    match value {
        Expr::String { .. } | Expr::RawString { .. } | Expr::Number { .. } | Expr::Bool { .. } | Expr::Null { .. } => {
            true
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().all(|item| is_written_out(item)),
        Expr::Object { fields, .. } => {
            fields.iter().all(|(_, key, value)| is_written_out(key) && is_written_out(value))
        }
        Expr::UnaryExpr { expr, .. } => matches!(expr.as_ref(), Expr::Number { .. }),
        _ => false,
    }
}
