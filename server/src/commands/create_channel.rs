//! `create_channel`: a channel that stays until it is deleted.

use arqonbus_protocol::{CreateChannelArgs, CreateChannelResult};

use crate::routing::{Asked, Home};
use crate::slots::Key;

impl Home {
    /// The lane exists by now; it was created where it was begun for this very question.
    pub(crate) fn create(&mut self, key: Key, asked: &Asked, args: CreateChannelArgs) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let created = lane.begun_by.take() == Some(asked.request_id);
        lane.declared = true;
        if created {
            lane.description = args.description;
        }
        let head = lane.head;
        self.egress.ok(asked, &CreateChannelResult { created, head });
    }
}
