use super::*;

fn records() -> GroupResource {
    GroupResource {
        group: "data.kubedojo.io".to_owned(),
        resource: "datarecords".to_owned(),
    }
}

/// S1: details name the plural for a missing object.
#[test]
fn a_missing_object_is_404_and_names_the_plural() {
    insta::assert_json_snapshot!(ApiError::not_found(&records(), "a").to_status(), @r#"
    {
      "apiVersion": "v1",
      "code": 404,
      "details": {
        "group": "data.kubedojo.io",
        "kind": "datarecords",
        "name": "a"
      },
      "kind": "Status",
      "message": "datarecords.data.kubedojo.io \"a\" not found",
      "metadata": {},
      "reason": "NotFound",
      "status": "Failure"
    }
    "#);
}

/// S1: details name the Kind for an invalid object, and every cause has its field.
#[test]
fn an_invalid_object_lists_every_cause() {
    let errors = [
        FieldError::required("spec.source", ""),
        FieldError::invalid("metadata.name", &json!("A"), "must be lower case"),
    ];
    let status = ApiError::invalid("data.kubedojo.io", "DataRecord", "A", &errors).to_status();
    assert_eq!(
        status["message"],
        "DataRecord.data.kubedojo.io \"A\" is invalid: [spec.source: Required value, \
         metadata.name: Invalid value: \"A\": must be lower case]"
    );
    assert_eq!(status["details"]["kind"], "DataRecord");
    assert_eq!(status["details"]["causes"][1]["field"], "metadata.name");
    assert_eq!(
        status["details"]["causes"][0]["reason"],
        "FieldValueRequired"
    );
}

/// S2: a store that does not answer is a retryable error.
#[test]
fn a_store_outage_says_when_to_try_again_and_hides_the_cause() {
    let error = ApiError::store_unavailable(&records(), "list", "connection refused");
    assert_eq!(error.code(), 500);
    assert_eq!(error.retry_after_seconds(), Some(2));
    assert!(!error.to_status().to_string().contains("refused"));
    assert_eq!(error.internal_message(), Some("connection refused"));
}
