/** Door: the hub's client, as others take it. */
export { HubClient, hubUrl, type HubOptions, type HubStatus } from "./client.js";
export { ServerClock } from "./clock.js";
export type { Protocol } from "./codec.js";
export * from "./model.js";
export { Problem, PROBLEM_NAMES, type ProblemName } from "./problem.js";
export { EMPTY_ROOM, hasUpvoted, type Room } from "./room.js";
