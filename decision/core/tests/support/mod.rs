//! How a YAML case becomes resources and a call ([`situation`]), and how it is judged ([`case`]) and compared ([`expect`], [`agree`]).

pub mod agree;
pub mod case;
pub mod expect;
pub mod situation;
