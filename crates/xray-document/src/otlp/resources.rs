//! A request without what describes its source at too great a length, as bytes.

use super::count::Signal;
use super::wire::{Field, Fields, Malformed, append};

/// A request of which something was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortened {
    /// What is left, byte for byte; empty when nothing is.
    pub request: Vec<u8>,
    /// The items that were left out.
    pub items: u64,
    /// How long the longest resource with its scope was, in bytes.
    pub longest_bytes: usize,
}

/// The request in protobuf without each scope, and its items, that has more than `max_bytes` together with its resource:
/// X-Ray's OTLP endpoint refuses a whole request for one of them. `None` when there is none.
///
/// # Errors
/// It is no protobuf down to its items.
pub fn without_longer(
    signal: Signal,
    request: &[u8],
    max_bytes: usize,
) -> Result<Option<Shortened>, Malformed> {
    let (mut kept, mut items, mut longest_bytes) = (Vec::new(), 0, 0);
    for field in Fields::of(request) {
        let field = field?;
        let Some(resource) = field.message(1) else {
            kept.extend_from_slice(field.whole);
            continue;
        };
        let fields: Vec<Field<'_>> = Fields::of(resource).collect::<Result<_, _>>()?;
        let resource_bytes = length(&fields, 1);
        let mut left = Vec::new();
        let mut is_shorter = false;
        for field in &fields {
            let Some(scope) = field.message(2) else {
                left.extend_from_slice(field.whole);
                continue;
            };
            let inner: Vec<Field<'_>> = Fields::of(scope).collect::<Result<_, _>>()?;
            let bytes = resource_bytes + length(&inner, 1);
            if bytes <= max_bytes {
                left.extend_from_slice(field.whole);
                continue;
            }
            is_shorter = true;
            longest_bytes = longest_bytes.max(bytes);
            let mut alone = Vec::new();
            append(2, scope, &mut alone);
            let mut of_resource = Vec::new();
            append(1, &alone, &mut of_resource);
            items += super::count::count(signal, &of_resource)?.items;
        }
        if !is_shorter {
            kept.extend_from_slice(field.whole);
        } else if fields.iter().any(|field| field.message(2).is_some())
            && Fields::of(&left).any(|field| field.is_ok_and(|field| field.message(2).is_some()))
        {
            append(1, &left, &mut kept);
        }
    }
    Ok((longest_bytes > 0).then_some(Shortened {
        request: kept,
        items,
        longest_bytes,
    }))
}

/// The bytes in the fields of that number.
fn length(fields: &[Field<'_>], number: u32) -> usize {
    let messages = fields.iter().filter_map(|field| field.message(number));
    messages.map(<[u8]>::len).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::message;
    use super::*;

    /// A resource of so many bytes with scopes of so many bytes, of two spans each.
    fn resource(bytes: usize, scopes: &[usize]) -> Vec<u8> {
        let mut resource = message(&[(1, &vec![0; bytes])]);
        for scope in scopes {
            let scope = message(&[(1, &vec![0; *scope]), (2, b"one"), (2, b"two")]);
            append(2, &scope, &mut resource);
        }
        message(&[(1, &resource)])
    }

    #[test]
    fn a_scope_goes_that_is_too_long_with_its_resource_and_a_resource_with_its_last_one() {
        let fits = resource(10, &[10, 3]);
        let request = [fits.clone(), resource(10, &[10, 11]), resource(21, &[0])].concat();
        assert_eq!(
            without_longer(Signal::Traces, &request, 20),
            Ok(Some(Shortened {
                request: [fits.clone(), resource(10, &[10])].concat(),
                items: 4,
                longest_bytes: 21,
            }))
        );
        assert_eq!(without_longer(Signal::Traces, &fits, 20), Ok(None));
        assert_eq!(without_longer(Signal::Traces, b"", 20), Ok(None));
        let all = without_longer(Signal::Traces, &resource(0, &[21]), 20)
            .unwrap()
            .unwrap();
        assert_eq!((all.request, all.items), (Vec::new(), 2));
        assert!(without_longer(Signal::Traces, b"{}", 20).is_err());
    }

    proptest! {
        #[test]
        fn what_is_left_fits_and_nothing_is_lost_uncounted(
            resources in proptest::collection::vec(
                (0_usize..30, proptest::collection::vec(0_usize..30, 0..4)),
                0..5,
            ),
        ) {
            let request: Vec<u8> =
                resources.iter().flat_map(|(bytes, scopes)| resource(*bytes, scopes)).collect();
            let whole = super::super::count::count(Signal::Traces, &request).unwrap().items;
            match without_longer(Signal::Traces, &request, 30).unwrap() {
                None => prop_assert!(
                    resources.iter().all(|(bytes, scopes)| scopes.iter().all(|scope| bytes + scope <= 30))
                ),
                Some(shortened) => {
                    let left = super::super::count::count(Signal::Traces, &shortened.request).unwrap().items;
                    prop_assert_eq!(left + shortened.items, whole);
                    prop_assert_eq!(without_longer(Signal::Traces, &shortened.request, 30).unwrap(), None);
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _shortened = without_longer(Signal::Traces, &bytes, 3);
        }
    }
}
