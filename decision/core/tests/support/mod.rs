//! How a YAML case becomes resources and a call ([`situation`]), and how it is judged ([`case`]).

pub mod case;
pub mod situation;
