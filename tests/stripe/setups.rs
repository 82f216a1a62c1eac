//! SetupIntents: a card is saved; the bank sees the buyer here.

use serde_json::Value;

use super::{
    books::{Books, Setup},
    cards::{Bank, Kind},
    form::Params,
    refusal::Refusal,
};

impl Books {
    pub fn create_setup(&mut self, params: &Params) -> Result<Value, Refusal> {
        params.only(&["customer", "expand", "metadata", "payment_method_types", "usage"])?;
        let setup = Setup {
            id: self.name("seti"),
            created_ms: self.now_ms,
            customer: self.known_customer(params.text("customer"))?,
            kinds: params.list("payment_method_types").into_iter().map(str::to_owned).collect(),
            usage: params.text("usage").unwrap_or("off_session").to_owned(),
            metadata: params.map("metadata"),
            status: "requires_payment_method",
            method: None,
            trying: None,
            error: None,
        };
        let shown = self.show_setup(&setup, &params.expand(""));
        self.setups.insert(setup.id.clone(), setup);
        self.happen("setup_intent.created", shown.clone());
        Ok(shown)
    }

    pub fn read_setup(&self, id: &str, params: &Params) -> Result<Value, Refusal> {
        params.only(&["expand"])?;
        let setup = self.setups.get(id).ok_or_else(|| Refusal::no_such(404, "setupintent", id))?;
        Ok(self.show_setup(setup, &params.expand("")))
    }

    /// What the form in the page does with the client secret and a card.
    pub fn confirm_setup(&mut self, id: &str, kind: Kind) -> bool {
        let open = |setup: &Setup| matches!(setup.status, "requires_payment_method" | "requires_confirmation");
        if !self.setups.get(id).is_some_and(open) {
            return false;
        }
        let method = self.add_method(kind, None);
        match kind.bank() {
            Bank::Declines(code) => self.refuse_card(id, ("card_declined", Some(code))),
            Bank::Asks | Bank::AsksThenDeclines => {
                let setup = self.setups.get_mut(id).expect("it is there");
                setup.status = "requires_action";
                setup.trying = Some(method);
                self.happen_to_setup("setup_intent.requires_action", id);
            }
            _ => self.save(id, &method),
        }
        true
    }

    /// The bank's question is answered. `false`: nobody asked.
    pub fn answer_setup(&mut self, id: &str, yes: bool) -> bool {
        let Some(setup) = self.setups.get_mut(id).filter(|setup| setup.status == "requires_action") else {
            return false;
        };
        let method = setup.trying.take().expect("a card is tried");
        if yes {
            self.save(id, &method);
        } else {
            self.refuse_card(id, ("setup_intent_authentication_failure", None));
        }
        true
    }

    fn refuse_card(&mut self, id: &str, why: (&'static str, Option<&'static str>)) {
        let setup = self.setups.get_mut(id).expect("it is there");
        setup.status = "requires_payment_method";
        setup.error = Some(why);
        self.happen_to_setup("setup_intent.setup_failed", id);
    }

    fn save(&mut self, id: &str, method: &str) {
        let setup = self.setups.get_mut(id).expect("it is there");
        setup.status = "succeeded";
        setup.error = None;
        setup.method = Some(method.to_owned());
        let customer = setup.customer.clone();
        self.methods.get_mut(method).expect("it was made").customer = customer;
        self.happen_to_setup("setup_intent.succeeded", id);
    }

    fn happen_to_setup(&mut self, kind: &'static str, id: &str) {
        let shown = self.show_setup(&self.setups[id], &[]);
        self.happen(kind, shown);
    }
}
