//! Reads Rust's sources: which codes an error type has, and which of them are
//! worth another try.
//!
//! An error's `code` and `retryable` are matches over its variants that end in
//! a literal or ask the error within. This evaluates them for every value, and
//! fails on what it does not understand.

use std::collections::{BTreeMap, BTreeSet};

use syn::{
    Expr, Fields, GenericArgument, ImplItem, Item, Lit, Member, Pat, PathArguments, Stmt, Type,
};

use crate::repository::{files, read};

/// What an error's method answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    Code(String),
    Retryable(bool),
}

/// One value of a type, as far as the two methods can tell values apart.
#[derive(Clone, Debug)]
struct Value {
    type_name: String,
    variant: String,
    fields: Vec<(String, Value)>,
}

/// Every type and method of some sources.
#[derive(Default)]
pub(crate) struct Sources {
    enums: BTreeMap<String, syn::ItemEnum>,
    methods: BTreeMap<(String, String), syn::Block>,
    handler_errors: Vec<String>,
}

impl Sources {
    /// The sources below these folders, without their tests.
    pub(crate) fn of(folders: &[&str]) -> Self {
        let mut sources = Self::default();
        for folder in folders {
            for path in files(folder, ".rs") {
                let file =
                    syn::parse_file(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
                sources.add(file.items);
            }
        }
        sources
    }

    fn add(&mut self, items: Vec<Item>) {
        for item in items {
            match item {
                Item::Enum(item) => {
                    self.enums.insert(item.ident.to_string(), item);
                }
                Item::Impl(item) => self.add_impl(item),
                Item::Mod(item) if !is_test(&item.attrs) => {
                    self.add(item.content.map(|(_, items)| items).unwrap_or_default());
                }
                _ => {}
            }
        }
    }

    fn add_impl(&mut self, item: syn::ItemImpl) {
        let Some(type_name) = name_of(&item.self_ty) else {
            return;
        };
        let implemented = item.trait_.as_ref().map(|(path, _)| last(path));
        let is_handler = implemented.as_deref() == Some("Handler");
        for member in item.items {
            match member {
                ImplItem::Fn(method) => {
                    let key = (type_name.clone(), method.sig.ident.to_string());
                    self.methods.insert(key, method.block);
                }
                ImplItem::Type(alias) if is_handler && alias.ident == "Error" => {
                    self.handler_errors.extend(name_of(&alias.ty));
                }
                _ => {}
            }
        }
    }

    /// The error type of the one handler among these sources.
    pub(crate) fn handler_error(&self) -> &str {
        let [error] = self.handler_errors.as_slice() else {
            panic!("expected one handler: {:?}", self.handler_errors);
        };
        error
    }

    /// The codes of a type, each with whether it is worth another try.
    pub(crate) fn codes(&self, type_name: &str) -> BTreeMap<String, BTreeSet<bool>> {
        let mut codes = BTreeMap::<String, BTreeSet<bool>>::new();
        for value in self.values(type_name) {
            let Answer::Code(code) = self.ask("code", &value) else {
                panic!("{type_name}::code answers with no text");
            };
            let Answer::Retryable(retryable) = self.ask("retryable", &value) else {
                panic!("{type_name}::retryable answers with no bool");
            };
            codes.entry(code).or_default().insert(retryable);
        }
        codes
    }

    fn knows(&self, type_name: &str, method: &str) -> bool {
        let key = (type_name.to_owned(), method.to_owned());
        self.methods.contains_key(&key)
    }

    /// Every value of a type. A field matters only where its type has one of
    /// the two methods; any other type has one value.
    fn values(&self, type_name: &str) -> Vec<Value> {
        let value = |variant: &str, fields| Value {
            type_name: type_name.to_owned(),
            variant: variant.to_owned(),
            fields,
        };
        let Some(definition) = self.enums.get(type_name) else {
            return vec![value("", Vec::new())];
        };
        let mut values = Vec::new();
        for variant in &definition.variants {
            let mut combinations = vec![Vec::new()];
            for (name, field_type) in fields(&variant.fields) {
                let within = name_of(field_type)
                    .filter(|name| self.knows(name, "code") || self.knows(name, "retryable"))
                    .map(|name| self.values(&name));
                let Some(within) = within else { continue };
                combinations = combinations
                    .into_iter()
                    .flat_map(|fields: Vec<(String, Value)>| {
                        within.iter().map(move |value| (fields.clone(), value))
                    })
                    .map(|(mut fields, value)| {
                        fields.push((name.clone(), value.clone()));
                        fields
                    })
                    .collect();
            }
            let variant = variant.ident.to_string();
            values.extend(
                combinations
                    .into_iter()
                    .map(|fields| value(&variant, fields)),
            );
        }
        values
    }

    fn ask(&self, method: &str, value: &Value) -> Answer {
        let key = (value.type_name.clone(), method.to_owned());
        let Some(block) = self.methods.get(&key) else {
            panic!("{}::{method} is not among the sources", value.type_name);
        };
        let Some(Stmt::Expr(body, None)) = block.stmts.last() else {
            panic!(
                "{}::{method} does not end in an expression",
                value.type_name
            );
        };
        let bound = BTreeMap::from([("self".to_owned(), value.clone())]);
        self.evaluate(body, &bound)
            .unwrap_or_else(|| panic!("{}::{method} is not understood", value.type_name))
    }

    fn evaluate(&self, body: &Expr, bound: &BTreeMap<String, Value>) -> Option<Answer> {
        match body {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(Answer::Code(text.value())),
                Lit::Bool(value) => Some(Answer::Retryable(value.value)),
                _ => None,
            },
            Expr::MethodCall(call) => {
                let value = bound.get(&variable(&call.receiver)?)?;
                Some(self.ask(&call.method.to_string(), value))
            }
            Expr::Block(block) => match block.block.stmts.as_slice() {
                [Stmt::Expr(body, None)] => self.evaluate(body, bound),
                _ => None,
            },
            Expr::Match(choice) => {
                let value = bound.get(&variable(&choice.expr)?)?;
                for arm in &choice.arms {
                    let mut bound = bound.clone();
                    if fits(&arm.pat, Some(value), &mut bound)? {
                        return self.evaluate(&arm.body, &bound);
                    }
                }
                None
            }
            _ => None,
        }
    }
}

/// Whether a value is of a pattern; `None` where the pattern is not
/// understood. A field whose value does not matter has none.
fn fits(pat: &Pat, value: Option<&Value>, bound: &mut BTreeMap<String, Value>) -> Option<bool> {
    match (pat, value) {
        (Pat::Wild(_) | Pat::Rest(_), _) => Some(true),
        (Pat::Ident(name), _) => {
            if let Some(value) = value {
                bound.insert(name.ident.to_string(), value.clone());
            }
            Some(true)
        }
        (Pat::Or(any), _) => {
            for case in &any.cases {
                if fits(case, value, bound)? {
                    return Some(true);
                }
            }
            Some(false)
        }
        (Pat::Path(path), Some(value)) => Some(last(&path.path) == value.variant),
        (Pat::TupleStruct(tuple), Some(value)) => {
            if last(&tuple.path) != value.variant {
                return Some(false);
            }
            for (index, pat) in tuple.elems.iter().enumerate() {
                if !fits(pat, field(value, &index.to_string()), bound)? {
                    return Some(false);
                }
            }
            Some(true)
        }
        (Pat::Struct(structure), Some(value)) => {
            if last(&structure.path) != value.variant {
                return Some(false);
            }
            for part in &structure.fields {
                let Member::Named(name) = &part.member else {
                    return None;
                };
                if !fits(&part.pat, field(value, &name.to_string()), bound)? {
                    return Some(false);
                }
            }
            Some(true)
        }
        _ => None,
    }
}

fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let found = value.fields.iter().find(|(field, _)| field == name);
    found.map(|(_, value)| value)
}

fn fields(fields: &Fields) -> Vec<(String, &Type)> {
    fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let name = field.ident.as_ref().map(ToString::to_string);
            (name.unwrap_or_else(|| index.to_string()), &field.ty)
        })
        .collect()
}

fn last(path: &syn::Path) -> String {
    path.segments
        .last()
        .map(|segment| segment.ident.to_string())
        .unwrap_or_default()
}

/// The name of a type; of an `Arc`, that of what it holds.
fn name_of(of: &Type) -> Option<String> {
    let Type::Path(path) = of else { return None };
    let segment = path.path.segments.last()?;
    if segment.ident == "Arc"
        && let PathArguments::AngleBracketed(arguments) = &segment.arguments
        && let Some(GenericArgument::Type(within)) = arguments.args.first()
    {
        return name_of(within);
    }
    Some(segment.ident.to_string())
}

fn variable(of: &Expr) -> Option<String> {
    match of {
        Expr::Path(path) => path.path.get_ident().map(ToString::to_string),
        _ => None,
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
    })
}

#[test]
fn codes_are_found_through_nested_and_delegated_errors() {
    let mut sources = Sources::default();
    let file = syn::parse_str::<syn::File>(
        r#"
        enum Inner { Later(Cause), Never }
        impl Inner { fn retryable(&self) -> bool { match self { Self::Later(_) => true, Self::Never => false } } }
        enum Middle { Io(Inner), Text }
        impl Coded for Middle {
            fn code(&self) -> &'static str {
                match self { Self::Io(Inner::Later(_)) => "Unavailable", Self::Io(Inner::Never) | Self::Text => "Rejected" }
            }
            fn retryable(&self) -> bool { match self { Self::Io(error) => error.retryable(), Self::Text => false } }
        }
        enum Outer { Odd { epoch: u64, source: Middle }, Own(String) }
        impl Coded for Outer {
            fn code(&self) -> &'static str { match self { Self::Odd { source, .. } => source.code(), Self::Own(_) => "Own" } }
            fn retryable(&self) -> bool { match self { Self::Odd { source, .. } => source.retryable(), Self::Own(_) => { true } } }
        }
        "#,
    );
    sources.add(file.unwrap().items);
    let expected = [("Own", true), ("Rejected", false), ("Unavailable", true)]
        .map(|(code, retryable)| (code.to_owned(), BTreeSet::from([retryable])));
    assert_eq!(sources.codes("Outer"), BTreeMap::from(expected));
}
