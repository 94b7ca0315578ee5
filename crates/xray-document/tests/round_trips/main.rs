//! What is converted and converted back is what it was, in every field that both have: over documents and spans that are
//! made up, and over the documents of SDKs.

mod compare;
mod documents;
mod second_opinion;
mod segments;
mod spans;
