//! Expressions: the `${{ }}` in a template's strings.
//!
//! minijinja's parser reads them, after [`dialect`] has turned what Backstage's templates write into Jinja;
//! [`analysis`] finds every name that does not exist before anything runs; [`evaluate`] gives their value with
//! every byte and step counted, so that no expression takes long or makes much, whatever it says.

pub(crate) mod analysis;
mod call;
mod checks;
pub(crate) mod context;
mod dialect;
pub(crate) mod evaluate;
mod filters_catalog;
mod filters_list;
mod filters_map;
mod filters_markup;
mod filters_number;
mod filters_text;
mod lookup;
pub(crate) mod mentions;
mod methods;
mod operators;
pub(crate) mod paths;
mod resources;
pub(crate) mod syntax;
pub(crate) mod term;
#[cfg(test)]
mod tests;
pub(crate) mod text;
