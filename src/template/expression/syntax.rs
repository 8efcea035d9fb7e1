//! The tree of an expression: minijinja's, in a form that owns its parts and holds only what we evaluate.
//!
//! minijinja reads the text; its virtual machine is not used, since its fuel bounds neither the time nor the
//! memory of one operation.

use minijinja::machinery::ast;
use serde_json::{Number, Value};

use super::dialect;
use super::term::{Outcome, Stop};
use crate::template::names::shown;

/// The deepest tree that is evaluated: operators in a row, brackets, filters and attributes all count.
const MAX_DEPTH: usize = 100;

/// An operator between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    And,
    Or,
    Add,
    Subtract,
    Multiply,
    Divide,
    DivideWhole,
    Remainder,
    Power,
    Concatenate,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
}

/// What stands between the brackets of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    /// By place.
    pub(crate) positional: Vec<Expression>,
    /// By name.
    pub(crate) named: Vec<(String, Expression)>,
}

impl Arguments {
    /// All of them.
    fn all(&self) -> impl Iterator<Item = &Expression> {
        let named = self.named.iter().map(|(_, argument)| argument);
        self.positional.iter().chain(named)
    }
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Constant(Value),
    Variable(String),
    Attribute(Box<Expression>, String),
    Item(Box<Expression>, Box<Expression>),
    Slice {
        input: Box<Expression>,
        start: Option<Box<Expression>>,
        stop: Option<Box<Expression>>,
        step: Option<Box<Expression>>,
    },
    Not(Box<Expression>),
    Negate(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Compare(Box<Expression>, Vec<(Comparison, Expression)>),
    Choice {
        test: Box<Expression>,
        yes: Box<Expression>,
        no: Option<Box<Expression>>,
    },
    Filter {
        name: String,
        input: Box<Expression>,
        arguments: Arguments,
    },
    Test {
        name: String,
        input: Box<Expression>,
        arguments: Arguments,
    },
    Function {
        name: String,
        arguments: Arguments,
    },
    Method {
        name: String,
        input: Box<Expression>,
        arguments: Arguments,
    },
    List(Vec<Expression>),
    Map(Vec<(Expression, Expression)>),
}

impl Expression {
    /// Whether it is a name, with attributes and subscripts behind it at most.
    pub(crate) fn is_path(&self) -> bool {
        super::paths::path_of(self).is_some()
    }

    /// The expressions that it is made of.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Constant(_) | Self::Variable(_) => Vec::new(),
            Self::Attribute(input, _) | Self::Not(input) | Self::Negate(input) => vec![input.as_ref()],
            Self::Item(left, right) | Self::Binary(_, left, right) => vec![left.as_ref(), right.as_ref()],
            Self::Slice {
                input,
                start,
                stop,
                step,
            } => {
                let parts = [start, stop, step].into_iter().flatten().map(AsRef::as_ref);
                std::iter::once(input.as_ref()).chain(parts).collect()
            }
            Self::Compare(first, rest) => {
                let operands = rest.iter().map(|(_, operand)| operand);
                std::iter::once(first.as_ref()).chain(operands).collect()
            }
            Self::Choice { test, yes, no } => {
                let no = no.iter().map(AsRef::as_ref);
                [test.as_ref(), yes.as_ref()].into_iter().chain(no).collect()
            }
            Self::Filter { input, arguments, .. }
            | Self::Test { input, arguments, .. }
            | Self::Method { input, arguments, .. } => std::iter::once(input.as_ref()).chain(arguments.all()).collect(),
            Self::Function { arguments, .. } => arguments.all().collect(),
            Self::List(items) => items.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
        }
    }
}

/// Parses the text between `${{` and `}}`.
///
/// # Errors
/// What was found and what was expected.
pub(crate) fn parse(source: &str) -> Outcome<Expression> {
    if source.trim().is_empty() {
        return Err(Stop::fault(
            "found an empty expression, expected a value such as parameters.name",
        ));
    }
    let jinja = dialect::jinja(source)?;
    let tree = minijinja::machinery::parse_expr(&jinja.text).map_err(|error| {
        let detail = error.detail().unwrap_or("it cannot be read");
        Stop::fault(format!(
            "`{}` is not an expression: {}",
            shown(source.trim(), 80),
            shown(detail, 200)
        ))
    })?;
    let mut lowering = Lowering {
        negations: jinja.negations,
    };
    let expression = lowering.expression(&tree, 0)?;
    if lowering.negations.is_empty() {
        Ok(expression)
    } else {
        Err(Stop::fault(format!(
            "`{}` is not an expression: unexpected \"!\", expected an operator",
            shown(source.trim(), 80)
        )))
    }
}

struct Lowering {
    /// The places of `!` that no operator has claimed yet.
    negations: Vec<usize>,
}

impl Lowering {
    fn expression(&mut self, tree: &ast::Expr<'_>, depth: usize) -> Outcome<Expression> {
        if depth > MAX_DEPTH {
            return Err(Stop::fault(format!(
                "the expression is nested more than {MAX_DEPTH} deep; make it smaller"
            )));
        }
        let depth = depth + 1;
        Ok(match tree {
            ast::Expr::Var(variable) => variable_named(variable.id),
            ast::Expr::Const(constant) => Expression::Constant(json(&constant.value)?),
            ast::Expr::Slice(slice) => self.slice(slice, depth)?,
            ast::Expr::UnaryOp(operation) => {
                let start = operation.span().start_offset as usize;
                let negation = self.negations.iter().position(|place| *place == start);
                match (&operation.op, negation) {
                    (ast::UnaryOpKind::Neg, Some(place)) => {
                        self.negations.swap_remove(place);
                        Expression::Not(self.boxed(&operation.expr, depth)?)
                    }
                    (ast::UnaryOpKind::Neg, None) => Expression::Negate(self.boxed(&operation.expr, depth)?),
                    (ast::UnaryOpKind::Not, _) => Expression::Not(self.boxed(&operation.expr, depth)?),
                }
            }
            ast::Expr::BinOp(operation) => self.binary(operation, depth)?,
            ast::Expr::Compare(compare) => {
                let first = self.boxed(&compare.expr, depth)?;
                let mut rest = Vec::with_capacity(compare.ops.len());
                for operation in &compare.ops {
                    rest.push((comparison(operation.op), self.expression(&operation.expr, depth)?));
                }
                Expression::Compare(first, rest)
            }
            ast::Expr::IfExpr(choice) => Expression::Choice {
                test: self.boxed(&choice.test_expr, depth)?,
                yes: self.boxed(&choice.true_expr, depth)?,
                no: self.optional(choice.false_expr.as_ref(), depth)?,
            },
            ast::Expr::Filter(filter) => {
                let Some(input) = &filter.expr else {
                    return Err(Stop::fault("a filter has nothing to filter"));
                };
                Expression::Filter {
                    name: filter.name.to_owned(),
                    input: self.boxed(input, depth)?,
                    arguments: self.arguments(&filter.args, depth)?,
                }
            }
            ast::Expr::Test(test) => Expression::Test {
                name: test.name.to_owned(),
                input: self.boxed(&test.expr, depth)?,
                arguments: self.arguments(&test.args, depth)?,
            },
            ast::Expr::GetAttr(attribute) => {
                Expression::Attribute(self.boxed(&attribute.expr, depth)?, attribute.name.to_owned())
            }
            ast::Expr::GetItem(item) => {
                Expression::Item(self.boxed(&item.expr, depth)?, self.boxed(&item.subscript_expr, depth)?)
            }
            ast::Expr::Call(call) => self.call(call, depth)?,
            ast::Expr::List(list) => Expression::List(self.expressions(&list.items, depth)?),
            ast::Expr::Tuple(tuple) => Expression::List(self.expressions(&tuple.items, depth)?),
            ast::Expr::Map(map) => {
                let keys = self.expressions(&map.keys, depth)?;
                let values = self.expressions(&map.values, depth)?;
                // JavaScript's {name: 1} is read as {"name": 1}: a bare word is a key, not a variable.
                let keys = keys.into_iter().map(|key| match key {
                    Expression::Variable(name) => Expression::Constant(Value::String(name)),
                    other => other,
                });
                Expression::Map(keys.zip(values).collect())
            }
        })
    }

    fn boxed(&mut self, tree: &ast::Expr<'_>, depth: usize) -> Outcome<Box<Expression>> {
        Ok(Box::new(self.expression(tree, depth)?))
    }

    fn optional(&mut self, tree: Option<&ast::Expr<'_>>, depth: usize) -> Outcome<Option<Box<Expression>>> {
        tree.map(|tree| self.boxed(tree, depth)).transpose()
    }

    fn expressions(&mut self, trees: &[ast::Expr<'_>], depth: usize) -> Outcome<Vec<Expression>> {
        trees.iter().map(|tree| self.expression(tree, depth)).collect()
    }

    fn slice(&mut self, slice: &ast::Slice<'_>, depth: usize) -> Outcome<Expression> {
        Ok(Expression::Slice {
            input: self.boxed(&slice.expr, depth)?,
            start: self.optional(slice.start.as_ref(), depth)?,
            stop: self.optional(slice.stop.as_ref(), depth)?,
            step: self.optional(slice.step.as_ref(), depth)?,
        })
    }

    fn binary(&mut self, operation: &ast::BinOp<'_>, depth: usize) -> Outcome<Expression> {
        use ast::BinOpKind as Kind;
        let left = self.boxed(&operation.left, depth)?;
        let right = self.expression(&operation.right, depth)?;
        let compare = |comparison, left, right| Ok(Expression::Compare(left, vec![(comparison, right)]));
        let operator = match operation.op {
            Kind::Eq => return compare(Comparison::Equal, left, right),
            Kind::Ne => return compare(Comparison::NotEqual, left, right),
            Kind::Lt => return compare(Comparison::Less, left, right),
            Kind::Lte => return compare(Comparison::LessOrEqual, left, right),
            Kind::Gt => return compare(Comparison::Greater, left, right),
            Kind::Gte => return compare(Comparison::GreaterOrEqual, left, right),
            Kind::In => return compare(Comparison::In, left, right),
            Kind::ScAnd => Operator::And,
            Kind::ScOr => Operator::Or,
            Kind::Add => Operator::Add,
            Kind::Sub => Operator::Subtract,
            Kind::Mul => Operator::Multiply,
            Kind::Div => Operator::Divide,
            Kind::FloorDiv => Operator::DivideWhole,
            Kind::Rem => Operator::Remainder,
            Kind::Pow => Operator::Power,
            Kind::Concat => Operator::Concatenate,
        };
        Ok(Expression::Binary(operator, left, Box::new(right)))
    }

    fn call(&mut self, call: &ast::Call<'_>, depth: usize) -> Outcome<Expression> {
        let arguments = self.arguments(&call.args, depth)?;
        match &call.expr {
            ast::Expr::Var(variable) => Ok(Expression::Function {
                name: variable.id.to_owned(),
                arguments,
            }),
            ast::Expr::GetAttr(attribute) => Ok(Expression::Method {
                name: attribute.name.to_owned(),
                input: self.boxed(&attribute.expr, depth)?,
                arguments,
            }),
            _ => Err(Stop::fault(
                "only a function or a method can be called, for example parameters.name.trim()",
            )),
        }
    }

    fn arguments(&mut self, found: &[ast::CallArg<'_>], depth: usize) -> Outcome<Arguments> {
        let mut arguments = Arguments::default();
        for argument in found {
            match argument {
                ast::CallArg::Pos(value) => arguments.positional.push(self.expression(value, depth)?),
                ast::CallArg::Kwarg(name, value) => {
                    arguments
                        .named
                        .push(((*name).to_owned(), self.expression(value, depth)?));
                }
                ast::CallArg::PosSplat(_) | ast::CallArg::KwargSplat(_) => {
                    return Err(Stop::fault(
                        "\"*\" before an argument is not supported; write the arguments out",
                    ));
                }
            }
        }
        Ok(arguments)
    }
}

fn variable_named(name: &str) -> Expression {
    match name {
        "null" | "undefined" => Expression::Constant(Value::Null),
        _ => Expression::Variable(name.to_owned()),
    }
}

fn comparison(operation: ast::CompareOpKind) -> Comparison {
    match operation {
        ast::CompareOpKind::Eq => Comparison::Equal,
        ast::CompareOpKind::Ne => Comparison::NotEqual,
        ast::CompareOpKind::Lt => Comparison::Less,
        ast::CompareOpKind::Lte => Comparison::LessOrEqual,
        ast::CompareOpKind::Gt => Comparison::Greater,
        ast::CompareOpKind::Gte => Comparison::GreaterOrEqual,
        ast::CompareOpKind::In => Comparison::In,
        ast::CompareOpKind::NotIn => Comparison::NotIn,
    }
}

/// A constant of minijinja's as JSON.
fn json(value: &minijinja::Value) -> Outcome<Value> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Some(text) = value.as_str() {
        return Ok(Value::String(text.to_owned()));
    }
    if let Ok(flag) = bool::try_from(value.clone())
        && !value.is_number()
    {
        return Ok(Value::Bool(flag));
    }
    if value.is_integer() {
        return i64::try_from(value.clone())
            .map(Value::from)
            .map_err(|_| Stop::fault("an integer is too large, expected at most 9223372036854775807"));
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| Stop::fault("a number is too large"))
}
