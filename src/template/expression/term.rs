//! What an expression comes to, why it may stop, and how much it may cost.

use std::borrow::Cow;
use std::cell::Cell;

use serde_json::Value;

use super::context::NamedInclude;

/// The most bytes that one value may have (design §2).
pub(crate) const MAX_VALUE: usize = 256 * 1024;
/// The most work that one expression may do, in bytes looked at or made. Chosen so that an unoptimised build
/// on a slow core stays well within 100 ms.
const MAX_WORK: u64 = 4 * 1024 * 1024;
/// The most work that the expressions of one object, or of one plan, may do together.
pub(crate) const MAX_PLAN_WORK: u64 = 16 * MAX_WORK;

/// Why an expression gave no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Something is wrong with it: plain text.
    Fault(String),
    /// It names a live value that is not there yet: the value's path.
    Waiting(String),
}

impl Stop {
    /// A fault.
    pub(crate) fn fault(message: impl Into<String>) -> Self {
        Self::Fault(message.into())
    }
}

impl Stop {
    /// What it says where nothing can be waited for.
    pub(crate) fn told(self) -> String {
        match self {
            Self::Fault(message) => message,
            Self::Waiting(path) => format!("{path} does not exist"),
        }
    }
}

/// The result of a step of evaluation.
pub(crate) type Outcome<T> = Result<T, Stop>;

/// Where a value was read, so that what it lacks can be named.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The path. Example: `parameters.environments`.
    pub(crate) path: String,
    /// Whether it is the live state of an object, which may gain what it lacks.
    pub(crate) live: bool,
}

/// What is not there.
#[derive(Clone, Debug)]
pub(crate) enum Undefined {
    /// It may be there, but was not given: its path.
    Absent(String),
    /// It is not there yet: its path.
    Waiting(String),
    /// It can never be there: what is wrong.
    Missing(String),
}

/// A resource with `each`: all of its objects.
#[derive(Clone, Debug)]
pub(crate) struct Every {
    /// The resource's id in the plan.
    pub(crate) id: String,
    /// The keys of the includes that it is in.
    pub(crate) keys: Vec<String>,
    /// How it was named.
    pub(crate) path: String,
}

/// An included template.
#[derive(Clone, Debug)]
pub(crate) struct Within<'a> {
    /// It.
    pub(crate) include: &'a NamedInclude,
    /// The keys of the includes so far.
    pub(crate) keys: Vec<String>,
    /// Whether its own key is still to come.
    pub(crate) keyless: bool,
    /// How it was named.
    pub(crate) path: String,
}

/// What an expression, or a part of one, comes to.
#[derive(Clone, Debug)]
pub(crate) enum Term<'a> {
    /// A value.
    Value(Cow<'a, Value>, Option<Origin>),
    /// No value.
    Undefined(Undefined),
    /// `resources` itself.
    Resources,
    /// `references` itself.
    References,
    /// `resources.<id>` of a resource with `each`.
    Each(Every),
    /// `resources.<id>` of an included template.
    Include(Within<'a>),
    /// One object of the plan: its place, its path.
    Object(usize, String),
    /// The `metadata` of one object of the plan: its place, its path.
    Metadata(usize, String),
}

impl<'a> Term<'a> {
    /// A value that an expression made.
    pub(crate) fn made(value: Value) -> Self {
        Self::Value(Cow::Owned(value), None)
    }

    /// A value that stands at `path`.
    pub(crate) fn read(value: &'a Value, path: impl Into<String>, live: bool) -> Self {
        Self::Value(
            Cow::Borrowed(value),
            Some(Origin {
                path: path.into(),
                live,
            }),
        )
    }
}

/// Counts work, and stops what costs too much.
#[derive(Debug)]
pub(crate) struct Meter {
    expression: Cell<u64>,
    whole: Cell<u64>,
    /// What it had for all expressions together.
    limit: u64,
}

impl Meter {
    /// A meter for many expressions together, of which each one has its own limit besides.
    pub(crate) fn new(whole: u64) -> Self {
        Self {
            expression: Cell::new(MAX_WORK),
            whole: Cell::new(whole),
            limit: whole,
        }
    }

    /// What is left for all expressions together.
    pub(crate) fn left(&self) -> u64 {
        self.whole.get()
    }

    /// A meter for as many expressions as one object or one plan may have.
    pub(crate) fn for_plan() -> Self {
        Self::new(MAX_PLAN_WORK)
    }

    /// Begins a new expression.
    pub(crate) fn begin(&self) {
        self.expression.set(MAX_WORK);
    }

    /// Counts work.
    pub(crate) fn charge(&self, amount: usize) -> Outcome<()> {
        let amount = amount as u64;
        let take = |cell: &Cell<u64>| {
            let left = cell.get().checked_sub(amount);
            cell.set(left.unwrap_or(0));
            left.is_some()
        };
        if !take(&self.expression) {
            return Err(Stop::fault(
                "the expression is too costly: it handles more than 4 MiB of data; make it smaller",
            ));
        }
        if !take(&self.whole) {
            return Err(Stop::fault(format!(
                "the expressions together are too costly: they handle more than {} MiB of data",
                self.limit >> 20
            )));
        }
        Ok(())
    }

    /// Counts a text that is about to be made, and refuses one that is too long.
    pub(crate) fn text(&self, bytes: usize) -> Outcome<()> {
        if bytes > MAX_VALUE {
            return Err(too_large(bytes));
        }
        self.charge(bytes)
    }

    /// Counts a whole value, and refuses one that is too large.
    pub(crate) fn value(&self, value: &Value) -> Outcome<()> {
        let measured = measure(value, MAX_VALUE);
        self.charge(measured.work())?;
        if measured.bytes > MAX_VALUE {
            return Err(Stop::fault(
                "a value is larger than 256 KiB, which is the most that one may have",
            ));
        }
        Ok(())
    }

    /// Counts so many small values that are about to be made.
    pub(crate) fn nodes(&self, count: usize) -> Outcome<()> {
        self.charge(count.saturating_mul(NODE_WORK))
    }
}

fn too_large(bytes: usize) -> Stop {
    Stop::fault(format!(
        "a value of {bytes} bytes is more than the 256 KiB that one may have"
    ))
}

/// What making or looking at one value costs, beside its text: an allocation or two.
const NODE_WORK: usize = 64;

/// How large a value is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measure {
    /// About the length of its JSON text.
    pub(crate) bytes: usize,
    nodes: usize,
}

impl Measure {
    /// What handling the value costs.
    pub(crate) fn work(self) -> usize {
        self.bytes.saturating_add(self.nodes.saturating_mul(NODE_WORK))
    }
}

/// About how many bytes a value's JSON text has, counted until it is more than `limit`.
pub(crate) fn size(value: &Value, limit: usize) -> usize {
    measure(value, limit).bytes
}

/// How large a value is, measured until it is larger than `limit` bytes.
pub(crate) fn measure(value: &Value, limit: usize) -> Measure {
    let mut total = Measure::default();
    add(value, limit, &mut total);
    total
}

fn add(value: &Value, limit: usize, total: &mut Measure) {
    total.nodes += 1;
    total.bytes += match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(_) | Value::Object(_) => 3,
    };
    match value {
        Value::Array(items) => {
            for item in items {
                if total.bytes > limit {
                    break;
                }
                add(item, limit, total);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                if total.bytes > limit {
                    break;
                }
                total.bytes += key.len() + 3;
                add(item, limit, total);
            }
        }
        _ => {}
    }
}

/// `a string`, `an integer`, `a map`: the kind of a value, as messages say it.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Whether a value counts as true: not so for false, null, "", 0, [] (Backstage's rule,
/// `plugins/scaffolder-backend/src/scaffolder/tasks/NunjucksWorkflowRunner.ts`). A map is always true, as in JavaScript.
pub(crate) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_none_or(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}
