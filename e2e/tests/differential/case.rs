//! A case of the table: requests that follow each other in a namespace of their own.
//!
//! Texts may hold `{ns}` (the case's namespace), `{own}` (a namespace name for this side alone),
//! `{group}`, and `{label.path.to.a.field}` of an answer that [`Case::keep`] gave that label.

use serde_json::{Value, json};

pub(crate) const JSON: &str = "application/json";
pub(crate) const JSON_PATCH: &str = "application/json-patch+json";
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// Where the records of the case are.
const COLLECTION: &str = "/apis/{group}/v1alpha1/namespaces/{ns}/datarecords";
/// Where the records of all namespaces are.
pub(crate) const EVERYWHERE: &str = "/apis/{group}/v1alpha1/datarecords";

/// Requests that follow each other, and what is compared of them.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) steps: Vec<Step>,
}

/// One thing that a case does.
#[derive(Debug)]
pub(crate) enum Step {
    /// Sends a request and reads the whole answer.
    Send(Message),
    /// Opens a watch, which stays open.
    Watch(Message),
    /// Reads so many events of the watch.
    Events(usize),
    /// Reads the watch to its end.
    End,
}

/// A request before its placeholders are filled in.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) label: Option<&'static str>,
    pub(crate) until: Option<u16>,
}

/// Begins a case. Its name begins with the topic.
pub(crate) fn case(name: &'static str) -> Case {
    let steps = Vec::new();
    Case { name, steps }
}

/// A valid record.
pub(crate) fn record(name: &str) -> Value {
    json!({
        "apiVersion": "{group}/v1alpha1", "kind": "DataRecord",
        "metadata": { "name": name },
        "spec": { "source": "test" },
    })
}

/// An object with other fields: a merge patch, in which `null` removes.
pub(crate) fn with(mut object: Value, fields: Value) -> Value {
    merge(&mut object, fields);
    object
}

fn merge(target: &mut Value, fields: Value) {
    let Value::Object(fields) = fields else {
        *target = fields;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

impl Case {
    /// A request below the collection of the case's namespace: `suffix` is empty, `/name` or
    /// `/name/subresource`.
    pub(crate) fn send(self, method: &'static str, suffix: &str) -> Self {
        self.send_to(method, &format!("{COLLECTION}{suffix}"))
    }

    /// A request to any path.
    pub(crate) fn send_to(mut self, method: &'static str, path: &str) -> Self {
        self.steps.push(Step::Send(Message {
            method,
            path: path.to_owned(),
            query: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            label: None,
            until: None,
        }));
        self
    }

    pub(crate) fn get(self, name: &str) -> Self {
        self.send("GET", &format!("/{name}"))
    }

    pub(crate) fn list(self, query: &str) -> Self {
        self.send("GET", "").query(query)
    }

    pub(crate) fn post(self, object: Value) -> Self {
        self.send("POST", "").body(JSON, object)
    }

    pub(crate) fn put(self, name: &str, object: Value) -> Self {
        self.send("PUT", &format!("/{name}")).body(JSON, object)
    }

    pub(crate) fn merge_patch(self, name: &str, patch: Value) -> Self {
        self.patch(MERGE_PATCH, name, patch)
    }

    pub(crate) fn json_patch(self, name: &str, patch: Value) -> Self {
        self.patch(JSON_PATCH, name, patch)
    }

    /// An apply by the manager `one` unless the query is replaced.
    pub(crate) fn apply(self, name: &str, object: Value) -> Self {
        self.patch(APPLY, name, object).query("fieldManager=one")
    }

    fn patch(self, content_type: &str, name: &str, patch: Value) -> Self {
        self.send("PATCH", &format!("/{name}"))
            .body(content_type, patch)
    }

    pub(crate) fn delete(self, name: &str) -> Self {
        self.send("DELETE", &format!("/{name}"))
    }

    /// A watch of the case's namespace, which stays open.
    pub(crate) fn watch(self, query: &str) -> Self {
        self.watch_at("").query(&format!("watch=true&{query}"))
    }

    /// A watch below the collection; its query is given by [`Case::query`].
    pub(crate) fn watch_at(self, suffix: &str) -> Self {
        let mut case = self.send("GET", suffix);
        if let Some(Step::Send(message)) = case.steps.pop() {
            case.steps.push(Step::Watch(message));
        }
        case
    }

    /// Reads so many events of the open watch.
    pub(crate) fn events(mut self, count: usize) -> Self {
        self.steps.push(Step::Events(count));
        self
    }

    /// Reads the open watch to its end.
    pub(crate) fn end(mut self) -> Self {
        self.steps.push(Step::End);
        self
    }

    // What follows changes the last request.

    pub(crate) fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.last().query);
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        let headers = &mut self.last().headers;
        headers.retain(|(other, _)| *other != name);
        headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn accept(self, value: &str) -> Self {
        self.header("accept", value)
    }

    pub(crate) fn body(self, content_type: &str, body: Value) -> Self {
        self.text(content_type, &body.to_string())
    }

    pub(crate) fn text(mut self, content_type: &str, body: &str) -> Self {
        body.as_bytes().clone_into(&mut self.last().body);
        self.header("content-type", content_type)
    }

    /// Lets later requests refer to fields of the answer.
    pub(crate) fn keep(mut self, label: &'static str) -> Self {
        self.last().label = Some(label);
        self
    }

    /// Asks again until the status is this: what has changed elsewhere is seen a moment later. Where
    /// it never is, the last answer is compared.
    pub(crate) fn until(mut self, status: u16) -> Self {
        self.last().until = Some(status);
        self
    }

    fn last(&mut self) -> &mut Message {
        let message = self.steps.last_mut().and_then(|step| match step {
            Step::Send(message) | Step::Watch(message) => Some(message),
            Step::Events(_) | Step::End => None,
        });
        message.expect("the last step is a request")
    }

    /// How many requests it sends to each side.
    pub(crate) fn requests(&self) -> usize {
        let request = |step: &&Step| matches!(step, Step::Send(_) | Step::Watch(_));
        self.steps.iter().filter(request).count()
    }
}

impl Step {
    /// As a report names it.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Send(message) => message.title(),
            Self::Watch(message) => format!("watch {}", message.title()),
            Self::Events(count) => format!("{count} events"),
            Self::End => "end of the watch".to_owned(),
        }
    }
}

impl Message {
    fn title(&self) -> String {
        let path = self.path.replace(COLLECTION, "");
        let mut title = format!("{} {path}?{}", self.method, self.query);
        if !self.body.is_empty() {
            let body = String::from_utf8_lossy(&self.body).replace('\n', "\\n");
            title += " ";
            title.extend(body.chars().take(200));
        }
        title
    }
}
