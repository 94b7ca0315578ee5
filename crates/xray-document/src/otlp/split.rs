//! A request as two that have half of it each, as bytes: what is in its items is not looked at, and fields that nobody
//! knows stay with both.

use super::count::Signal;
use super::wire::{Field, Fields, Malformed, append};

/// The two halves of a request in protobuf: at its resources; where there is one only, at that one's scopes, then at their
/// spans, metrics, data points or records. Every item is in one of the two, what several share (a resource, a scope) in
/// both. `None` when it cannot be halved: it has one item, or none.
///
/// # Errors
/// It is no protobuf down to where it would be halved.
pub fn halves(signal: Signal, request: &[u8]) -> Result<Option<[Vec<u8>; 2]>, Malformed> {
    halve(signal.levels(), request)
}

/// As deep as there are levels.
fn halve(levels: &[&[u32]], message: &[u8]) -> Result<Option<[Vec<u8>; 2]>, Malformed> {
    let Some((numbers, below)) = levels.split_first() else {
        return Ok(None);
    };
    let fields: Vec<Field<'_>> = Fields::of(message).collect::<Result<_, _>>()?;
    let is_child = |field: &&Field<'_>| field.content.is_some() && numbers.contains(&field.number);
    let children = fields.iter().filter(is_child).count();
    if children >= 2 {
        let mut halves = [Vec::new(), Vec::new()];
        let mut place = 0;
        for field in &fields {
            if is_child(&field) {
                halves[usize::from(place >= children.div_ceil(2))].extend_from_slice(field.whole);
                place += 1;
            } else {
                halves
                    .iter_mut()
                    .for_each(|half| half.extend_from_slice(field.whole));
            }
        }
        return Ok(Some(halves));
    }
    let Some(child) = fields.iter().find(is_child) else {
        return Ok(None);
    };
    let Some(parts) = halve(below, child.content.unwrap_or_default())? else {
        return Ok(None);
    };
    Ok(Some(parts.map(|part| {
        let mut half = Vec::new();
        for field in &fields {
            if is_child(&field) {
                append(child.number, &part, &mut half);
            } else {
                half.extend_from_slice(field.whole);
            }
        }
        half
    })))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::count::count;
    use super::*;

    /// A request of resources of scopes of so many items each; every item has another content.
    fn request(resources: &[Vec<u8>]) -> Vec<u8> {
        let mut number = 0_u32;
        let mut request = Vec::new();
        for scopes in resources {
            let mut resource = Vec::new();
            append(1, b"resource", &mut resource);
            for items in scopes {
                let mut scope = Vec::new();
                append(1, b"scope", &mut scope);
                for _ in 0..*items {
                    number += 1;
                    append(2, &number.to_be_bytes(), &mut scope);
                }
                append(99, b"nobody knows", &mut scope);
                append(2, &scope, &mut resource);
            }
            append(1, &resource, &mut request);
        }
        request
    }

    /// Every item with what it is in, whatever that is split into.
    fn items(request: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        for resource in Fields::of(request).map(Result::unwrap) {
            let Some(resource) = resource.message(1) else {
                continue;
            };
            for scope in Fields::of(resource).map(Result::unwrap) {
                let Some(scope) = scope.message(2) else { continue };
                let beside: Vec<u8> = Fields::of(scope)
                    .map(Result::unwrap)
                    .filter(|field| field.number != 2)
                    .flat_map(|field| field.whole.to_vec())
                    .collect();
                for item in Fields::of(scope).map(Result::unwrap) {
                    found.extend(item.message(2).map(|item| [item, &beside].concat()));
                }
            }
        }
        found
    }

    #[test]
    fn one_item_is_not_halved_and_neither_is_nothing() {
        for resources in [vec![vec![1]], vec![vec![0]], vec![vec![]], vec![]] {
            assert_eq!(halves(Signal::Traces, &request(&resources)), Ok(None));
        }
        assert!(halves(Signal::Traces, &[0x0a, 9]).is_err());
    }

    #[test]
    fn the_points_of_one_metric_are_halved_too() {
        let wrap = |number, content: &[u8]| {
            let mut message = Vec::new();
            append(number, content, &mut message);
            message
        };
        let points = [wrap(1, b"a"), wrap(1, b"b"), wrap(1, b"c")].concat();
        let metric = [wrap(1, b"name"), wrap(7, &points)].concat();
        let request = wrap(1, &wrap(2, &wrap(2, &metric)));
        let [first, second] = halves(Signal::Metrics, &request).unwrap().unwrap();
        assert_eq!(count(Signal::Metrics, &first).unwrap().items, 2);
        assert_eq!(count(Signal::Metrics, &second).unwrap().items, 1);
        assert!(second.windows(4).any(|bytes| bytes == b"name"));
    }

    proptest! {
        #[test]
        fn halves_have_all_that_was_in_the_whole_and_end_at_single_items(
            resources in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..4), 0..4),
        ) {
            let whole = request(&resources);
            let mut left = vec![whole.clone()];
            let mut single = Vec::new();
            let mut steps = 0;
            while let Some(one) = left.pop() {
                steps += 1;
                prop_assert!(steps < 200);
                match halves(Signal::Logs, &one).unwrap() {
                    Some([first, second]) => {
                        let together: Vec<_> = [items(&first), items(&second)].concat();
                        prop_assert_eq!(together, items(&one));
                        left.extend([second, first]);
                    }
                    None => {
                        prop_assert!(count(Signal::Logs, &one).unwrap().items <= 1);
                        single.extend(items(&one));
                    }
                }
            }
            prop_assert_eq!(single, items(&whole));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for signal in [Signal::Traces, Signal::Metrics, Signal::Logs] {
                let _halves = halves(signal, &bytes);
                let _count = count(signal, &bytes);
            }
        }
    }
}
