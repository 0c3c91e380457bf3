//! Tests of the whole, one file a subject.

mod http;
