//! Why a request failed.

/// Why a request failed: `metav1.StatusReason`, each with its HTTP code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusReason {
    /// 400: the request cannot be understood.
    BadRequest,
    /// 401: a credential is missing or wrong.
    Unauthorized,
    /// 403: the user may not do this.
    Forbidden,
    /// 404: there is no such object or path.
    NotFound,
    /// 405: the resource does not have this verb.
    MethodNotAllowed,
    /// 406: no representation that the client accepts.
    NotAcceptable,
    /// 409: an object of this name exists.
    AlreadyExists,
    /// 409: the object changed meanwhile, or a precondition failed.
    Conflict,
    /// 410: the object or path is gone for good.
    Gone,
    /// 410: the resource version is too old.
    Expired,
    /// 413: the body is over the limit.
    RequestEntityTooLarge,
    /// 415: the body's media type is not supported.
    UnsupportedMediaType,
    /// 422: the object breaks a rule.
    Invalid,
    /// 429: too many requests are in flight.
    TooManyRequests,
    /// 500: the server is at fault.
    InternalError,
    /// 500: the store has an object that cannot be read.
    StoreReadError,
    /// 500: the store did not answer; the client may try again.
    ServerTimeout,
    /// 503: the server cannot answer now; the client may try again.
    ServiceUnavailable,
    /// 504: the request took longer than its deadline.
    Timeout,
}

impl StatusReason {
    /// The HTTP status code.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError | Self::StoreReadError | Self::ServerTimeout => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }

    /// The reason as it stands in the body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BadRequest",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::MethodNotAllowed => "MethodNotAllowed",
            Self::NotAcceptable => "NotAcceptable",
            Self::AlreadyExists => "AlreadyExists",
            Self::Conflict => "Conflict",
            Self::Gone => "Gone",
            Self::Expired => "Expired",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::UnsupportedMediaType => "UnsupportedMediaType",
            Self::Invalid => "Invalid",
            Self::TooManyRequests => "TooManyRequests",
            Self::InternalError => "InternalError",
            Self::StoreReadError => "StorageReadError",
            Self::ServerTimeout => "ServerTimeout",
            Self::ServiceUnavailable => "ServiceUnavailable",
            Self::Timeout => "Timeout",
        }
    }
}
