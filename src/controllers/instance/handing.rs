//! The pass over an instance whose objects pass to another: it writes to none of them.

use super::inventory::label;
use super::leaving::bounded_list;
use super::moving::{self, Stand, going, left, stand, unconfirmed, way_out};
use super::remove::Removal;
use super::{Instance, Pass};
use crate::api::HandOver;
use crate::api::conditions::{self, Verdict};
use crate::api::reasons::Reason;
use crate::controllers::trouble::Trouble;
use crate::controllers::wakes::Interest;

impl Pass<'_> {
    /// Both agree, and it stays: nothing is made for it, and what it has is left alone.
    pub(super) async fn hand_over(&mut self, new: Option<&Instance>) -> Result<(), Trouble> {
        self.await_partner();
        self.come_so_far(new);
        self.keep_finalizer().await?;
        let Some(given) = self.instance.status.hand_over.clone() else {
            return Ok(());
        };
        let because = if given.finished {
            Trouble::blocked(Reason::HandedOver, self.handed_over(&given))
        } else {
            let message = format!(
                "handing over to {}: it takes what its template makes too, and nothing is written here meanwhile; its condition Ready says how far it is",
                given.reference
            );
            Trouble::waiting(Reason::HandingOver, message)
        };
        let abnormal = if given.finished {
            conditions::STALLED
        } else {
            conditions::RECONCILING
        };
        let verdicts = [
            Verdict::no(conditions::READY, because.reason, &because.message),
            Verdict::yes(abnormal, because.reason, &because.message),
        ];
        let mut status = self.instance.status.clone();
        status.environments.clear();
        status.environments_ready = None;
        status.pipelines.clear();
        status.output.clear();
        self.write(status, &verdicts).await?;
        Err(because)
    }

    fn handed_over(&self, given: &HandOver) -> String {
        let key = &self.instance.key;
        let left: Vec<String> = self.instance.status.inventory.iter().map(label).collect();
        let beside = if left.is_empty() {
            String::new()
        } else if going(&self.instance).is_empty() {
            format!("; left here: {}", bounded_list(&left))
        } else {
            format!(
                "; left here, since that one's template does not make it: {}, which is deleted with this one only once that is confirmed",
                bounded_list(&left)
            )
        };
        format!(
            "handed over to {}; nothing is made or changed here any more{beside}; this one can go: kubectl delete -n {} {} {}",
            given.reference,
            key.namespace,
            key.kind.full_name(),
            key.name
        )
    }

    /// It is wanted no more, and hands over before anything is deleted. Ok, once there is nothing to be handed over any more.
    pub(super) async fn hand_over_first(&mut self, doing: &str) -> Result<(), Trouble> {
        if self.instance.is_released() || self.instance.status.inventory.is_empty() {
            return Ok(());
        }
        let waits = |why: String| Trouble::waiting(Reason::WaitingForTakeOver, why);
        let because = match stand(self.world, &self.instance) {
            Stand::Not => {
                self.take_back();
                return Ok(());
            }
            Stand::Waits(why) => waits(format!(
                "nothing is deleted before it has been handed over: {why}; {}",
                way_out(&self.instance)
            )),
            Stand::Agreed(new) => {
                self.come_so_far(Some(&new));
                let finished = self.instance.status.hand_over.as_ref();
                if finished.is_some_and(|given| given.finished) {
                    match unconfirmed(&self.instance) {
                        Some(unconfirmed) => unconfirmed,
                        None => return Ok(()),
                    }
                } else {
                    waits(format!(
                        "nothing is deleted before {} has taken over what its template makes too; its condition Ready says how far it is; {}",
                        new.reference(),
                        way_out(&self.instance)
                    ))
                }
            }
            Stand::Finished => match unconfirmed(&self.instance) {
                Some(unconfirmed) => unconfirmed,
                None => return Ok(()),
            },
        };
        self.await_partner();
        let removal = Removal {
            remaining: self.instance.status.inventory.clone(),
            troubles: vec![because],
            ..Removal::default()
        };
        self.still_there(removal, Reason::Deleting, doing).await
    }

    /// It goes on by itself again, if it was handing over. What has passed until then does not come back.
    pub(super) async fn go_on(&mut self) -> Result<(), Trouble> {
        if self.instance.status.hand_over.is_none() {
            return Ok(());
        }
        self.take_back();
        let message = "it hands over to nobody any more, and is looked at again";
        let verdicts = [
            Verdict::no(conditions::READY, Reason::Progressing, message),
            Verdict::yes(conditions::RECONCILING, Reason::Progressing, message),
        ];
        // Said before anything is written: the other believes what stands here.
        self.write(self.instance.status.clone(), &verdicts).await
    }

    fn take_back(&mut self) {
        let Some(given) = self.instance.status.hand_over.take() else {
            return;
        };
        let other = self.world.wakes.of_uid(&given.uid).and_then(|key| {
            let object = self.world.get(&key)?;
            Instance::decode(&key, &object).ok()
        });
        if let Some(other) = other {
            self.instance.status.inventory = left(&self.instance.status.inventory, &other.status.inventory);
        }
    }

    fn await_partner(&self) {
        let others = moving::others(&self.instance).map(Interest::Entity);
        self.world.wakes.depend(&self.instance.key, others.collect());
    }

    /// Takes in how far it has come: what the other has is not this one's any more.
    fn come_so_far(&mut self, new: Option<&Instance>) {
        let Some(new) = new else { return };
        let status = &mut self.instance.status;
        let before = status.hand_over.take();
        let finished_before = before.is_some_and(|given| given.finished && given.uid == new.uid);
        let done = new.status.taken_over.as_ref();
        let finished = finished_before || done.is_some_and(|done| done.uid == self.instance.uid);
        status.inventory = left(&status.inventory, &new.status.inventory);
        status.hand_over = Some(HandOver {
            reference: new.reference().to_string(),
            uid: new.uid.clone(),
            finished,
        });
    }
}
