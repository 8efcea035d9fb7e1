//! Who may do what: a template's objects are its account's affair alone, the operator's own role is small,
//! and nothing that a team writes puts anything where it has no business.

mod hostile;
pub mod least_role;
mod rights;
