/** The one way to pay that this server has: the sandbox. */
export const PAYMENT_METHOD = "sandbox_card";
