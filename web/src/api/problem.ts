/** The app's problems are the hub's: one refusal, whichever way it came. */
export * from "../hub/problem";
