//! The heights that are read and not done with.

use std::collections::VecDeque;

use offchain_store::ledger::{Cursor, Mark};

struct Height {
    cursor: Cursor,
    outstanding: usize,
}

/// Heights in a row, from the first that is not done with.
pub(super) struct Window {
    reached: Cursor,
    heights: VecDeque<Height>,
    outstanding: usize,
}

impl Window {
    pub(super) fn new(cursor: Cursor) -> Self {
        Self {
            reached: cursor,
            heights: VecDeque::new(),
            outstanding: 0,
        }
    }

    /// Up to where everything is done with.
    pub(super) fn reached(&self) -> &Cursor {
        &self.reached
    }

    /// The next height to be read.
    pub(super) fn next(&self) -> u64 {
        let last = self.heights.back().map(|height| &height.cursor);
        last.unwrap_or(&self.reached).height + 1
    }

    /// How many deliveries are not done with.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How many heights are not done with.
    pub(super) fn len(&self) -> usize {
        self.heights.len()
    }

    /// Adds the next height, of which so many deliveries are to be made. An empty
    /// one has no digest.
    pub(super) fn push(&mut self, digest: Option<String>, deliveries: usize) {
        let height = self.next();
        let last = self.heights.back().map(|height| &height.cursor);
        let mark = match digest {
            Some(digest) => Some(Mark { height, digest }),
            None => last.unwrap_or(&self.reached).mark.clone(),
        };
        let cursor = Cursor { height, mark };
        self.outstanding += deliveries;
        self.heights.push_back(Height {
            cursor,
            outstanding: deliveries,
        });
        self.advance();
    }

    /// One delivery of that height is made, or kept.
    pub(super) fn settle(&mut self, height: u64) {
        let Some(first) = self.heights.front() else {
            return;
        };
        let found = height
            .checked_sub(first.cursor.height)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| self.heights.get_mut(index));
        if let Some(found) = found {
            found.outstanding -= 1;
            self.outstanding -= 1;
            self.advance();
        }
    }

    fn advance(&mut self) {
        while self
            .heights
            .front()
            .is_some_and(|height| height.outstanding == 0)
        {
            if let Some(done) = self.heights.pop_front() {
                self.reached = done.cursor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_moves_over_heights_in_a_row_and_no_further() {
        let mut window = Window::new(Cursor::default());
        for deliveries in [2, 0, 1, 0] {
            window.push((deliveries > 0).then(|| "x".to_owned()), deliveries);
        }
        assert_eq!((window.next(), window.outstanding()), (5, 3));
        assert_eq!(window.reached().height, 0);
        window.settle(3);
        window.settle(1);
        assert_eq!(window.reached().height, 0);
        window.settle(1);
        assert_eq!(window.reached().height, 4);
        assert_eq!((window.outstanding(), window.len()), (0, 0));
        window.push(Some("y".to_owned()), 0);
        assert_eq!(window.reached().height, 5);
        window.push(None, 0);
        let mark = window.reached().mark.as_ref().unwrap();
        assert_eq!((window.reached().height, mark.height), (6, 5));
    }
}
