//! Driven against a simulated Stripe.
