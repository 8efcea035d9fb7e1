//! From a text to trees, one document at a time and within limits.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::Value;

use super::{Data, Document, Fault, Node, Place, scalar};

/// What one document may be at most; a larger one is a fault.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Its length in bytes. An apiserver takes no object of more than 3 MiB.
    pub bytes: usize,
    /// How many values it has once its aliases are written out.
    pub values: usize,
    /// How deep they are nested.
    pub depth: usize,
    /// Whether `<<` merges the map that it names, as Backstage has it in `$yaml` and nowhere else, and kubectl everywhere.
    pub merge: bool,
    /// By whose rules plain scalars are read.
    pub reader: Reader,
}

/// By whose rules plain scalars are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// Backstage's: YAML 1.2.
    #[default]
    Backstage,
    /// kubectl's: YAML 1.1 in part.
    Kubectl,
}

impl Reader {
    fn plain(self, text: &str) -> Option<scalar::Resolved> {
        match self {
            Self::Backstage => scalar::plain(text),
            Self::Kubectl => scalar::of_kubectl(text),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 3 << 20,
            values: 200_000,
            depth: 100,
            merge: false,
            reader: Reader::default(),
        }
    }
}

impl Limits {
    /// Whether a document that was not read from YAML is within them.
    ///
    /// # Errors
    /// What there is more of, and what to do.
    pub fn hold(&self, document: &Node) -> Result<(), String> {
        let text = document.value().to_string();
        if text.len() > self.bytes {
            return Err(format!(
                "it is longer than {} bytes, more than Kubernetes takes for one object; keep the large part in a place of its own",
                self.bytes
            ));
        }
        if document.size() > self.values {
            return Err(format!("it has more than {} values; divide it", self.values));
        }
        if document.levels() > self.depth {
            return Err(format!("values are nested more than {} deep", self.depth));
        }
        Ok(())
    }
}

/// The documents of `text` that are not empty, each or what is wrong with it.
pub fn documents(text: &str, limits: Limits) -> Documents<'_> {
    let options = granit_parser::options! { emit_comments: false };
    Documents {
        parser: Parser::new_from_str_with_options(text, options),
        limits,
        ended: false,
    }
}

/// The documents of a text; see [`documents`].
pub struct Documents<'a> {
    parser: Parser<'a, StrInput<'a>>,
    limits: Limits,
    ended: bool,
}

impl Iterator for Documents<'_> {
    type Item = Result<Document, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let read = Builder::new(self.limits).read(&mut self.parser);
            match read {
                Ok(Some(document)) if document.root.data == Data::Scalar(Value::Null) => {}
                Ok(Some(document)) => return Some(Ok(document)),
                Ok(None) => self.ended = true,
                Err(fault) => {
                    // What follows a broken document is read from the next line that begins one.
                    self.ended = !matches!(self.parser.proceed_next_document(), Ok(true));
                    return Some(Err(fault));
                }
            }
        }
        None
    }
}

/// A list or map that is still being read.
struct Open {
    node: Node,
    anchor: usize,
    /// The key of a map that waits for its value.
    key: Option<(String, Place, bool)>,
    /// The keys so far that are written, with their lines.
    keys: HashMap<String, usize>,
    /// Those that were merged in and not written before, and whether they are written behind: then that one counts.
    merged: HashMap<String, bool>,
}

struct Builder {
    limits: Limits,
    begin: Option<usize>,
    values: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, (Rc<Node>, usize)>,
    root: Option<Node>,
    notes: Vec<Fault>,
}

impl Builder {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            begin: None,
            values: 0,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            notes: Vec::new(),
        }
    }

    /// The next document; none at the end of the stream.
    fn read<'a>(mut self, parser: &mut Parser<'a, StrInput<'a>>) -> Result<Option<Document>, Fault> {
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| syntax(&error))?;
            let place = place(&span);
            self.bounded(&span, place)?;
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let value = self.scalar(&text, style, tag.as_deref(), place)?;
                    let quoted = style != ScalarStyle::Plain;
                    self.put(
                        Node {
                            place,
                            data: Data::Scalar(value),
                        },
                        anchor,
                        quoted,
                    )?;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.begin(Data::List(Vec::new()), anchor, tag.as_deref(), place)?;
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.begin(Data::Map(Vec::new()), anchor, tag.as_deref(), place)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.end()?,
                Event::Alias(anchor) => {
                    let (node, size) = self.anchors.get(&anchor).cloned().ok_or_else(|| {
                        Fault::new(place, "an alias stands within what it means; write the value out")
                    })?;
                    self.count(size, place)?;
                    // The copy stands where its alias does.
                    let node = Node {
                        place,
                        data: node.data.clone(),
                    };
                    self.put(node, 0, false)?;
                }
                Event::DocumentEnd => {
                    let (root, notes) = (self.root.take(), self.notes);
                    return Ok(root.map(|root| Document { root, notes }));
                }
                Event::DocumentStart(..) => self.begin = span.start.byte_offset(),
                _ => {}
            }
        }
        Ok(None)
    }

    fn bounded(&mut self, span: &Span, place: Place) -> Result<(), Fault> {
        let (Some(begin), Some(end)) = (self.begin, span.end.byte_offset()) else {
            return Ok(());
        };
        if end.saturating_sub(begin) > self.limits.bytes {
            return Err(Fault::new(
                place,
                format!(
                    "the document is longer than {} bytes, more than Kubernetes takes for one object; divide it by lines of ---, or keep the large part in a place of its own",
                    self.limits.bytes
                ),
            ));
        }
        Ok(())
    }

    fn count(&mut self, values: usize, place: Place) -> Result<(), Fault> {
        self.values = self.values.saturating_add(values);
        if self.values > self.limits.values {
            return Err(Fault::new(
                place,
                format!(
                    "the document has more than {} values once its aliases are written out; leave the aliases out, or divide the document",
                    self.limits.values
                ),
            ));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Value, Fault> {
        let string = || Value::String(text.to_owned());
        let Some(tag) = tag else {
            if style != ScalarStyle::Plain {
                return Ok(string());
            }
            let resolved = self.limits.reader.plain(text).ok_or_else(|| not_finite(text, place))?;
            if resolved.rounded {
                self.notes.push(Fault::new(
                    place,
                    format!(
                        "{text} is more than 64 bits hold and is read as {}, as Backstage reads it; write it in quotes to keep every digit",
                        resolved.value
                    ),
                ));
            }
            return Ok(resolved.value);
        };
        if tag.is_yaml_core_schema_tag("str") || tag.original() == "!" {
            return Ok(string());
        }
        let resolved = self
            .limits
            .reader
            .plain(text)
            .ok_or_else(|| not_finite(text, place))?
            .value;
        let fits = match &resolved {
            Value::Null => tag.is_yaml_core_schema_tag("null"),
            Value::Bool(_) => tag.is_yaml_core_schema_tag("bool"),
            Value::Number(number) => {
                tag.is_yaml_core_schema_tag("float") || tag.is_yaml_core_schema_tag("int") && !number.is_f64()
            }
            _ => false,
        };
        if fits { Ok(resolved) } else { Err(foreign(tag, place)) }
    }

    fn begin(&mut self, data: Data, anchor: usize, tag: Option<&Tag>, place: Place) -> Result<(), Fault> {
        let own = if matches!(data, Data::List(_)) { "seq" } else { "map" };
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema_tag(own)) {
            return Err(foreign(tag, place));
        }
        if self.open.len() >= self.limits.depth {
            let message = format!("values are nested more than {} deep", self.limits.depth);
            return Err(Fault::new(place, message));
        }
        self.open.push(Open {
            node: Node { place, data },
            anchor,
            key: None,
            keys: HashMap::new(),
            merged: HashMap::new(),
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.open.pop() {
            Some(mut open) => {
                if let Data::Map(fields) = &mut open.node.data
                    && !open.merged.is_empty()
                {
                    // What was merged in comes first, and gives way to what is written.
                    fields.retain(|(key, ..)| {
                        let overridden = open.merged.get_mut(key);
                        !overridden.is_some_and(std::mem::take)
                    });
                }
                self.put(open.node, open.anchor, false)
            }
            None => Ok(()),
        }
    }

    /// Puts a value that is whole where it belongs. `quoted` says that a scalar is no merge key, whatever it says.
    fn put(&mut self, node: Node, anchor: usize, quoted: bool) -> Result<(), Fault> {
        self.count(1, node.place)?;
        if anchor != 0 {
            let size = node.size();
            // It is kept twice, whether an alias means it or not.
            self.count(size, node.place)?;
            self.anchors.insert(anchor, (Rc::new(node.clone()), size));
        }
        let merge = self.limits.merge;
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.data, open.key.take()) {
            (Data::List(items), _) => items.push(node),
            (Data::Map(fields), Some((_, _, true))) => {
                let (written, merged) = (&open.keys, &mut open.merged);
                merge_into(fields, node, &mut |key| {
                    let known = written.contains_key(key) || merged.contains_key(key);
                    if !known {
                        merged.insert(key.to_owned(), false);
                    }
                    !known
                })?;
            }
            (Data::Map(fields), Some((key, place, false))) => {
                if let Some(overridden) = open.merged.get_mut(&key) {
                    *overridden = true;
                }
                fields.push((key, place, node));
            }
            (Data::Map(_), None) => {
                let key = key_text(&node)?;
                let merges = merge && !quoted && key == "<<";
                let before = if merges {
                    None
                } else {
                    open.keys.insert(key.clone(), node.place.line)
                };
                if let Some(line) = before {
                    return Err(Fault::new(
                        node.place,
                        format!("{key} is given twice, first in line {line}; leave one of them out"),
                    ));
                }
                open.key = Some((key, node.place, merges));
            }
            (Data::Scalar(_), _) => {}
        }
        Ok(())
    }
}

/// Puts the fields of `source`, a map or a list of maps, among `fields`, but for those whose key is not `new`.
fn merge_into(
    fields: &mut Vec<(String, Place, Node)>,
    source: Node,
    new: &mut dyn FnMut(&str) -> bool,
) -> Result<(), Fault> {
    let place = source.place;
    match source.data {
        Data::Map(merged) => {
            fields.extend(merged.into_iter().filter(|(key, ..)| new(key)));
            Ok(())
        }
        Data::List(sources) => sources
            .into_iter()
            .try_for_each(|source| merge_into(fields, source, new)),
        Data::Scalar(_) => Err(Fault::new(
            place,
            "<< takes a map or a list of maps; write for example <<: *defaults",
        )),
    }
}

/// A key as JSON has it, where all keys are texts.
fn key_text(node: &Node) -> Result<String, Fault> {
    match &node.data {
        Data::Scalar(Value::String(text)) => Ok(text.clone()),
        Data::Scalar(Value::Null) => Ok(String::new()),
        Data::Scalar(value) => Ok(value.to_string()),
        _ => Err(Fault::new(node.place, "a key is a list or a map, expected a text")),
    }
}

fn foreign(tag: &Tag, place: Place) -> Fault {
    Fault::new(
        place,
        format!("the tag {} has no meaning here; leave it out", tag.original()),
    )
}

fn not_finite(text: &str, place: Place) -> Fault {
    Fault::new(
        place,
        format!("{text} is a number that JSON, and so Kubernetes, has no form for; write it in quotes to have a text"),
    )
}

fn place(span: &Span) -> Place {
    Place {
        line: span.start.line(),
        column: span.start.col() + 1,
    }
}

fn syntax(error: &ScanError) -> Fault {
    let place = Place {
        line: error.marker().line(),
        column: error.marker().col() + 1,
    };
    Fault::new(place, format!("not YAML: {}", error.info()))
}
