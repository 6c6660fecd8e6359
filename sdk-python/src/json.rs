//! Python objects as JSON text, and JSON text as Python objects.

use std::fmt;
use std::fmt::Write;

use arqonbus_client::protocol::limits::DEPTH_MAX;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

use crate::errors::invalid;

/// Levels that a payload may have inside its envelope.
const LEVELS_MAX: usize = DEPTH_MAX - 1;

/// Writes a value as JSON text.
#[pyfunction]
pub(crate) fn dumps(value: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut text = String::with_capacity(128);
    write(value, &mut text, 1)?;
    Ok(text)
}

/// Reads JSON text.
#[pyfunction]
pub(crate) fn loads(py: Python<'_>, text: &str) -> PyResult<Py<PyAny>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match (Seed { py, in_key: false }).deserialize(&mut deserializer) {
        Ok(value) => Ok(value.unbind()),
        // Numbers that do not fit here, and what only another parser takes.
        Err(_) => python_json(py)?.call1((text,)).map(Bound::unbind),
    }
}

fn python_json(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOADS.import(py, "json", "loads").cloned()
}

fn write(value: &Bound<'_, PyAny>, out: &mut String, level: usize) -> PyResult<()> {
    if let Ok(text) = value.cast::<PyString>() {
        write_text(text, out)
    } else if value.is_none() {
        out.push_str("null");
        Ok(())
    } else if let Ok(flag) = value.cast_exact::<PyBool>() {
        out.push_str(if flag.is_true() { "true" } else { "false" });
        Ok(())
    } else if value.is_instance_of::<PyInt>() {
        write_int(value, out)
    } else if let Ok(number) = value.cast::<PyFloat>() {
        write_float(number.value(), out)
    } else if level > LEVELS_MAX {
        Err(invalid(format!("the payload nests deeper than {LEVELS_MAX} levels")))
    } else if let Ok(members) = value.cast::<PyDict>() {
        write_members(members, out, level)
    } else if let Ok(items) = value.cast::<PyList>() {
        write_items(items.iter(), out, level)
    } else if let Ok(items) = value.cast::<PyTuple>() {
        write_items(items.iter(), out, level)
    } else {
        // Dataclasses, models and structs are made plain by Python first.
        static PLAIN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        write(&PLAIN.import(value.py(), "arqonbus._payload", "plain")?.call1((value,))?, out, level + 1)
    }
}

fn write_text(text: &Bound<'_, PyString>, out: &mut String) -> PyResult<()> {
    let text = text.to_cow().map_err(|_| invalid("text with a lone surrogate is no JSON"))?;
    out.push_str(&serde_json::to_string(&*text).expect("text can be written"));
    Ok(())
}

fn write_int(value: &Bound<'_, PyAny>, out: &mut String) -> PyResult<()> {
    if let Ok(small) = value.extract::<i64>() {
        write!(out, "{small}").expect("a String takes everything");
        return Ok(());
    }
    // `int`'s own text, whatever a subclass prints.
    let digits: String = value.py().get_type::<PyInt>().call_method1("__repr__", (value,))?.extract()?;
    if digits.len() > 308 {
        return Err(invalid("an integer beyond the range of a double"));
    }
    out.push_str(&digits);
    Ok(())
}

fn write_float(number: f64, out: &mut String) -> PyResult<()> {
    if !number.is_finite() {
        return Err(invalid("NaN and infinity are no JSON"));
    }
    out.push_str(&serde_json::to_string(&number).expect("a finite number can be written"));
    Ok(())
}

fn write_members(members: &Bound<'_, PyDict>, out: &mut String, level: usize) -> PyResult<()> {
    out.push('{');
    for (nth, (name, value)) in members.iter().enumerate() {
        if nth > 0 {
            out.push(',');
        }
        let Ok(name) = name.cast::<PyString>() else {
            return Err(invalid(format!("a key of the payload is of type {}, not str", name.get_type().name()?)));
        };
        write_text(name, out)?;
        out.push(':');
        write(&value, out, level + 1)?;
    }
    out.push('}');
    Ok(())
}

fn write_items<'py>(items: impl Iterator<Item = Bound<'py, PyAny>>, out: &mut String, level: usize) -> PyResult<()> {
    out.push('[');
    for (nth, item) in items.enumerate() {
        if nth > 0 {
            out.push(',');
        }
        write(&item, out, level + 1)?;
    }
    out.push(']');
    Ok(())
}

/// Builds Python objects while the text is read.
#[derive(Clone, Copy)]
struct Seed<'py> {
    py: Python<'py>,
    in_key: bool,
}

impl<'de, 'py> DeserializeSeed<'de> for Seed<'py> {
    type Value = Bound<'py, PyAny>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.in_key { deserializer.deserialize_str(self) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de, 'py> Visitor<'de> for Seed<'py> {
    type Value = Bound<'py, PyAny>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(self.py.None().into_bound(self.py))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(PyBool::new(self.py, value).to_owned().into_any())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        value.into_pyobject(self.py).map(Bound::into_any).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        value.into_pyobject(self.py).map(Bound::into_any).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.fract() == 0.0 && value.abs() >= 9.2e18 {
            // It may have been an integer, whose value Python keeps.
            return Err(E::custom("a large number"));
        }
        Ok(PyFloat::new(self.py, value).into_any())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(PyString::new(self.py, value).into_any())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let list = PyList::empty(self.py);
        while let Some(item) = items.next_element_seed(Self { in_key: false, ..self })? {
            list.append(item).map_err(A::Error::custom)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let dict = PyDict::new(self.py);
        while let Some(name) = members.next_key_seed(Self { in_key: true, ..self })? {
            let value = members.next_value_seed(Self { in_key: false, ..self })?;
            dict.set_item(name, value).map_err(A::Error::custom)?;
        }
        Ok(dict.into_any())
    }
}
