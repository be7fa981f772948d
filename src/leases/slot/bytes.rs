//! Owns how a slot is written into shared data. Must not know what its numbers mean.

use super::Slot;

/// Numbers of an encoded slot.
const NUMBERS: usize = 31;

impl Slot {
    /// All numbers, in the order they are written in.
    fn numbers(&mut self) -> [&mut u64; NUMBERS] {
        [
            &mut self.tag,
            &mut self.lease,
            &mut self.number,
            &mut self.units,
            &mut self.granted,
            &mut self.returned,
            &mut self.window,
            &mut self.after,
            &mut self.opens_at.0,
            &mut self.until.0,
            &mut self.life,
            &mut self.older,
            &mut self.older_until.0,
            &mut self.full_at.0,
            &mut self.lasts_until.0,
            &mut self.lasts,
            &mut self.newest,
            &mut self.used_at.0,
            &mut self.demand,
            &mut self.measured_at.0,
            &mut self.measured,
            &mut self.asked_at.0,
            &mut self.sent_at.0,
            &mut self.need,
            &mut self.waiting,
            &mut self.refused_until.0,
            &mut self.refused_need,
            &mut self.refused_at,
            &mut self.spent,
            &mut self.limit,
            &mut self.left,
        ]
    }

    /// Appends the slot; the length is written before it.
    #[inline(never)]
    pub(in super::super) fn encode(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let length = u16::try_from(NUMBERS * 8 + 2 + self.consumer.len() + self.name.len()).ok()?;
        out.extend_from_slice(&length.to_le_bytes());
        self.numbers().iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
        out.extend_from_slice(&u16::try_from(self.consumer.len()).ok()?.to_le_bytes());
        out.extend_from_slice(self.consumer.as_bytes());
        out.extend_from_slice(self.name.as_bytes());
        Some(())
    }

    /// Reads a slot, without its length; `None` if it is none.
    #[inline(never)]
    pub(in super::super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut slot = Self::default();
        for number in slot.numbers() {
            let (own, rest) = bytes.split_first_chunk::<8>()?;
            *number = u64::from_le_bytes(*own);
            bytes = rest;
        }
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (consumer, name) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        slot.consumer = std::str::from_utf8(consumer).ok()?.to_owned();
        slot.name = std::str::from_utf8(name).ok()?.to_owned();
        Some(slot)
    }
}
