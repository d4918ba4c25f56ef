//! Python values and record values. What has no exact counterpart is an error with its path, never rounded.
//!
//! Into a record: dict, list, tuple, dataclass, pydantic model; None, bool, int, float, str, bytes, aware datetime; and as
//! text date, time, Decimal, UUID and integers beyond 64 bits; an Enum by its value. Out of it: the same without the texts.

use chrono::{DateTime, Utc};
use millstream_codec::{EncodeError, MAX_DEPTH, ObjectMap, Value};
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDate, PyDateTime, PyDict, PyFloat, PyInt, PyIterator, PyList,
    PyString, PyTime, PyTuple, PyType,
};

/// Why a Python object is no record.
pub(crate) enum Refusal {
    /// It cannot be represented.
    Value(EncodeError),
    /// Its own code raised.
    Raised(PyErr),
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

impl Refusal {
    fn new(detail: impl Into<String>) -> Self {
        Self::Value(EncodeError::new(detail))
    }

    fn under_field(self, name: &str) -> Self {
        match self {
            Self::Value(error) => Self::Value(error.under_field(name)),
            Self::Raised(error) => Self::Raised(error),
        }
    }

    fn under_index(self, index: usize) -> Self {
        match self {
            Self::Value(error) => Self::Value(error.under_index(index)),
            Self::Raised(error) => Self::Raised(error),
        }
    }
}

/// One Python object as a record value.
pub(crate) fn from_py(object: &Bound<'_, PyAny>) -> Result<Value, Refusal> {
    value(object, 0)
}

fn value(object: &Bound<'_, PyAny>, depth: usize) -> Result<Value, Refusal> {
    if depth > MAX_DEPTH {
        return Err(Refusal::new(format!(
            "more than {MAX_DEPTH} levels of lists and dicts"
        )));
    }
    // The most frequent types first; `bool` before `int`, which it is a subclass of.
    if let Ok(text) = object.cast::<PyString>() {
        return string(text);
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = object.cast::<PyBool>() {
        return Ok(Value::Boolean(flag.is_true()));
    }
    if let Ok(number) = object.cast::<PyInt>() {
        return integer(number);
    }
    if let Ok(number) = object.cast::<PyFloat>() {
        return float(number.value());
    }
    if let Ok(dict) = object.cast::<PyDict>() {
        // A copy: code of an item, or another thread, may change the dict meanwhile.
        return mapping(dict.items().iter().map(|item| item.extract()), depth);
    }
    if let Ok(items) = object.cast::<PyList>() {
        return array(items.iter(), depth);
    }
    if let Ok(items) = object.cast::<PyTuple>() {
        return array(items.iter(), depth);
    }
    other(object, depth)
}

fn string(text: &Bound<'_, PyString>) -> Result<Value, Refusal> {
    match text.to_str() {
        Ok(text) => Ok(Value::from(text)),
        Err(_) => Err(Refusal::new("text with a lone surrogate has no UTF-8")),
    }
}

/// An enum member that is also an int or a str counts as that.
fn integer(number: &Bound<'_, PyInt>) -> Result<Value, Refusal> {
    match number.extract::<i64>() {
        Ok(number) => Ok(Value::Integer(number)),
        // Beyond i64 the digits travel as text and come back by the schema.
        Err(_) => Ok(Value::from(
            number
                .py()
                .get_type::<PyInt>()
                // The type's own: a subclass prints itself in its own way.
                .call_method1(intern!(number.py(), "__repr__"), (number,))?
                .extract::<String>()?,
        )),
    }
}

fn float(number: f64) -> Result<Value, Refusal> {
    if number.is_nan() {
        return Err(Refusal::new("a record has no NaN; use None"));
    }
    Ok(Value::from_f64_or_zero(number))
}

fn mapping<'py>(
    items: impl Iterator<Item = PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)>>,
    depth: usize,
) -> Result<Value, Refusal> {
    let mut map = ObjectMap::new();
    for item in items {
        let (key, item) = item?;
        let Ok(key) = key.cast::<PyString>() else {
            let kind = key.get_type().name()?.to_string();
            return Err(Refusal::new(format!("a field's name is {kind}, not str")));
        };
        let name = key
            .to_str()
            .map_err(|_| Refusal::new("a field's name with a lone surrogate has no UTF-8"))?;
        let item = value(&item, depth + 1).map_err(|refusal| refusal.under_field(name))?;
        map.insert(name.into(), item);
    }
    Ok(Value::Object(map))
}

fn array<'py>(
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
) -> Result<Value, Refusal> {
    items
        .enumerate()
        .map(|(index, item)| value(&item, depth + 1).map_err(|refusal| refusal.under_index(index)))
        .collect::<Result<_, _>>()
        .map(Value::Array)
}

/// Classes that are looked up once.
struct Classes {
    decimal: Py<PyType>,
    uuid: Py<PyType>,
    enumeration: Py<PyType>,
}

fn classes(py: Python<'_>) -> PyResult<&'static Classes> {
    static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
    CLASSES.get_or_try_init(py, || {
        let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py
                .import(module)?
                .getattr(name)?
                .cast_into::<PyType>()?
                .unbind())
        };
        Ok(Classes {
            decimal: class("decimal", "Decimal")?,
            uuid: class("uuid", "UUID")?,
            enumeration: class("enum", "Enum")?,
        })
    })
}

/// The types that are rarer than JSON's own.
fn other(object: &Bound<'_, PyAny>, depth: usize) -> Result<Value, Refusal> {
    let py = object.py();
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Value::Bytes(bytes.as_bytes().to_vec().into()));
    }
    if let Ok(bytes) = object.cast::<PyByteArray>() {
        return Ok(Value::Bytes(bytes.to_vec().into()));
    }
    if let Ok(instant) = object.cast::<PyDateTime>() {
        return timestamp(instant);
    }
    if object.is_instance_of::<PyDate>() {
        return text_of(object, "isoformat", ());
    }
    if object.is_instance_of::<PyTime>() {
        if !object.getattr(intern!(py, "tzinfo"))?.is_none() {
            return Err(Refusal::new(
                "a time of day with a time zone has no counterpart; use a datetime",
            ));
        }
        return text_of(object, "isoformat", ());
    }
    let classes = classes(py)?;
    if object.is_instance(classes.decimal.bind(py))? {
        if !object.call_method0(intern!(py, "is_finite"))?.is_truthy()? {
            return Err(Refusal::new(
                "a Decimal that is not finite has no counterpart; use None",
            ));
        }
        return text_of(object, "__format__", ("f",));
    }
    if object.is_instance(classes.uuid.bind(py))? {
        return text_of(object, "__str__", ());
    }
    if object.is_instance(classes.enumeration.bind(py))? {
        return value(&object.getattr(intern!(py, "value"))?, depth);
    }
    structured(object, depth)
}

fn text_of<'py>(
    object: &Bound<'py, PyAny>,
    method: &str,
    arguments: impl pyo3::call::PyCallArgs<'py>,
) -> Result<Value, Refusal> {
    let text = object.call_method1(method, arguments)?;
    Ok(Value::from(text.extract::<String>()?))
}

fn timestamp(instant: &Bound<'_, PyDateTime>) -> Result<Value, Refusal> {
    let py = instant.py();
    if instant.getattr(intern!(py, "tzinfo"))?.is_none() {
        return Err(Refusal::new(
            "a datetime without a time zone is no instant; set tzinfo, such as datetime.timezone.utc",
        ));
    }
    let zone = py
        .import(intern!(py, "datetime"))?
        .getattr("timezone")?
        .getattr("utc")?;
    let utc: DateTime<Utc> = instant
        .call_method1(intern!(py, "astimezone"), (zone,))?
        .extract()?;
    Ok(Value::Timestamp(utc))
}

/// Dataclasses, pydantic models and other mappings, by what they can do rather than by what they are.
fn structured(object: &Bound<'_, PyAny>, depth: usize) -> Result<Value, Refusal> {
    let py = object.py();
    // On the type, not the object: a class itself is no record, and a mock answers to any name.
    let kind = object.get_type();
    if let Some(fields) = attribute(kind.as_any(), "__dataclass_fields__")? {
        let fields = fields.cast_into::<PyDict>().map_err(PyErr::from)?;
        let items = fields.keys().iter().map(|name| {
            let name_text = name.cast::<PyString>()?;
            let value = object.getattr(name_text)?;
            Ok((name, value))
        });
        return mapping(items.collect::<Vec<_>>().into_iter(), depth);
    }
    if attribute(kind.as_any(), "model_dump")?.is_some() {
        return value(&object.call_method0(intern!(py, "model_dump"))?, depth);
    }
    if is_mapping(&kind)? {
        let items = object
            .call_method0(intern!(py, "keys"))?
            .try_iter()?
            .map(|name| {
                let name = name?;
                let value = object.get_item(&name)?;
                Ok((name, value))
            });
        return mapping(items.collect::<Vec<_>>().into_iter(), depth);
    }
    Err(Refusal::new(format!(
        "type {} has no counterpart in a record; use a dict, a list or a plain value",
        kind.name()?
    )))
}

/// Refuses one record where many are asked for: iterating over it would give its field names or its characters.
pub(crate) fn iterate<'py>(
    name: &str,
    records: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyIterator>> {
    let is_one = records.is_instance_of::<PyString>()
        || records.is_instance_of::<PyBytes>()
        || records.is_instance_of::<PyByteArray>()
        || is_mapping(&records.get_type())?
        || attribute(records.get_type().as_any(), "model_dump")?.is_some();
    if is_one {
        return Err(PyTypeError::new_err(format!(
            "{name} is a list or another iterable of records, not one {}; put it into a list",
            records.get_type().name()?
        )));
    }
    records.try_iter()
}

/// As `dict()` tells mappings from iterables. Asking the abstract base class would import it, which fails while the
/// interpreter ends.
fn is_mapping(kind: &Bound<'_, PyType>) -> PyResult<bool> {
    Ok(attribute(kind.as_any(), "keys")?.is_some()
        && attribute(kind.as_any(), "__getitem__")?.is_some())
}

fn attribute<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    match object.getattr(name) {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_instance_of::<PyAttributeError>(object.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A record value as a Python object.
pub(crate) fn to_py<'py>(
    py: Python<'py>,
    value: &Value,
) -> PyResult<Result<Bound<'py, PyAny>, EncodeError>> {
    // Two layers: our own refusal carries a path, while an exception of the interpreter (no memory) does not.
    match object(py, value) {
        Ok(object) => Ok(Ok(object)),
        Err(Refusal::Value(error)) => Ok(Err(error)),
        Err(Refusal::Raised(error)) => Err(error),
    }
}

fn object<'py>(py: Python<'py>, value: &Value) -> Result<Bound<'py, PyAny>, Refusal> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Boolean(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Integer(number) => number.into_pyobject(py).map_err(PyErr::from)?.into_any(),
        Value::Float(number) => PyFloat::new(py, number.into_inner()).into_any(),
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Timestamp(instant) => {
            if instant.timestamp_subsec_nanos() % 1_000 != 0 {
                return Err(Refusal::new(
                    "a datetime holds microseconds, and this timestamp has nanoseconds; format it in a program",
                ));
            }
            instant.into_pyobject(py)?.into_any()
        }
        Value::Array(items) => {
            let list = PyList::empty(py);
            for (index, item) in items.iter().enumerate() {
                list.append(object(py, item).map_err(|refusal| refusal.under_index(index))?)?;
            }
            list.into_any()
        }
        Value::Object(map) => {
            let dict = PyDict::new(py);
            for (name, item) in map {
                let item = object(py, item).map_err(|refusal| refusal.under_field(name))?;
                dict.set_item(PyString::intern(py, name), item)?;
            }
            dict.into_any()
        }
        Value::Regex(_) => return Err(Refusal::new("a regular expression is no value")),
    })
}
