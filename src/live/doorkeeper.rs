//! Shell: what a room does with its order: who may enter and take part, what people are told of themselves, who has to
//! leave.
//!
//! What the order means is decided in `moderation`; here it meets the room's seats.
//! Rule of the locks: `inner` of the stage before `household`, never across an await.

use std::sync::Arc;

use super::{
    LiveError, Visitor,
    chat::Role,
    followers::Follow,
    lane::{Dismissal, Lane},
    moderation::{Moderation, ModerationRefusal, Network, may_talk},
    stage::Stage,
};
use crate::{bus::Voice, ids::CustomerId, wire};

impl Stage {
    /// The order as it is known here.
    pub(super) fn order(&self) -> Arc<Moderation> {
        Arc::clone(&self.household.lock().order)
    }

    fn role(&self, visitor: &Visitor, order: &Moderation) -> Role {
        if visitor.liver_id.as_ref() == Some(&self.liver) { Role::Liver } else { order.role(&visitor.customer_id) }
    }

    /// Whether somebody may come in.
    pub(super) fn may_enter(&self, visitor: Option<&Visitor>, from: Option<Network>) -> Result<(), ModerationRefusal> {
        let order = self.order();
        let who = visitor.map(|visitor| (&visitor.customer_id, self.role(visitor, &order)));
        order.may_enter(who, from)
    }

    /// Whether somebody may take part by a text; who they are to the room.
    fn may_write(&self, author: &Visitor, text: &str) -> Result<Role, ModerationRefusal> {
        let order = self.order();
        let role = self.role(author, &order);
        order.may_take_part(&author.customer_id, role, &self.live, self.now())?;
        order.may_be_said(role, text)?;
        Ok(role)
    }

    /// Whether somebody may say this in the chat; who they are to the room.
    pub(super) fn may_say(&self, author: &Visitor, text: &str) -> Result<Role, ModerationRefusal> {
        let role = self.may_write(author, text)?;
        let rules = self.look(super::room::State::chat_rules);
        may_talk(&rules, role, || self.household.lock().followers.has(&author.customer_id))?;
        Ok(role)
    }

    /// Whether somebody may ask this, about a product that is shown.
    pub(super) fn may_ask(&self, author: &Visitor, text: &str, product: Option<&str>) -> Result<(), LiveError> {
        self.may_write(author, text)?;
        match product {
            Some(product) if !self.look(|state| state.shows_product(product)) => Err(LiveError::NotFound("pin")),
            _ => Ok(()),
        }
    }

    /// Whether somebody may vote.
    pub(super) fn may_vote(&self, voter: &Visitor) -> Result<(), ModerationRefusal> {
        let order = self.order();
        order.may_take_part(&voter.customer_id, self.role(voter, &order), &self.live, self.now())
    }

    /// Takes a newer order: tells everybody what it means for them, and who is banned has to leave.
    pub(super) fn put_order(&self, order: &Arc<Moderation>) {
        {
            let mut household = self.household.lock();
            if order.version() <= household.order.version() {
                return;
            }
            household.order = Arc::clone(order);
        }
        self.each_seat(|lane| self.settle(lane));
    }

    /// Tells a connection's person how they stand, or to leave.
    pub(super) fn settle(&self, lane: &Lane) {
        let order = self.order();
        let role = lane.customer().map(|customer| (customer, self.role_of(lane, customer, &order)));
        if order.may_enter(role, lane.network()).is_err() {
            lane.dismiss(Dismissal::Banned);
        } else if let Some((customer, role)) = role {
            lane.put_standing(self.standing(customer, role, &order));
        }
    }

    fn role_of(&self, lane: &Lane, customer: &CustomerId, order: &Moderation) -> Role {
        if lane.is_liver() { Role::Liver } else { order.role(customer) }
    }

    fn standing(&self, customer: &CustomerId, role: Role, order: &Moderation) -> wire::Standing {
        let following = self.household.lock().followers.has(customer);
        order.standing(customer, role, &self.live, following, self.now())
    }

    /// Somebody follows the liver, or does no more.
    pub(super) fn put_follow(&self, follow: &Follow) {
        self.household.lock().followers.put(follow);
    }

    /// Remembers whose doing a question's news is.
    pub(super) fn note_voice(&self, question: &str, by: &Voice) {
        match by {
            Voice::Asked(author) => self.household.lock().votes.asked(question.to_owned(), author.clone()),
            Voice::Voted(voter) => self.look(|state| {
                self.household.lock().votes.put(question, voter, |shown| state.shows_question(shown));
            }),
        }
    }

    /// The votes of a question are another's.
    pub(super) fn note_merge(&self, question: &wire::Question) {
        if question.state == "merged" {
            self.household.lock().votes.merge(&question.id, &question.merged_into);
        }
    }

    /// What a person voted for, of the questions that are shown.
    pub(super) fn upvoted(&self, customer: &CustomerId) -> Vec<String> {
        let mut voted = self.household.lock().votes.of(customer).to_vec();
        if !voted.is_empty() {
            self.look(|state| voted.retain(|question| state.shows_question(question)));
        }
        voted
    }
}
