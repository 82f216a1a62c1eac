import { describe, expect, it } from "vitest";
import { iceServers, knownIceServers, learnIceServers } from "../src/media/ice";

const STUN = '<stun:192.0.2.1:3478>; rel="ice-server"';
const TURN = '<turn:turn.example.jp?transport=udp>; rel="ice-server"; username="18000:live_1"; credential="a b/c="; credential-type="password"';

describe("the servers that an answer names", () => {
  it("reads several links from one header", () => {
    expect(iceServers(`${STUN}, ${TURN}`)).toEqual([
      { urls: "stun:192.0.2.1:3478" },
      { urls: "turn:turn.example.jp?transport=udp", username: "18000:live_1", credential: "a b/c=" },
    ]);
  });

  it("keeps commas, semicolons and quotes inside of quotes", () => {
    const link = '<turn:a>;rel=ice-server;username="x,y;z";credential="q\\"<turn:b>; rel=\\"ice-server\\""';
    expect(iceServers(link)).toEqual([{ urls: "turn:a", username: "x,y;z", credential: 'q"<turn:b>; rel="ice-server"' }]);
  });

  it("leaves alone what it cannot use", () => {
    expect(iceServers(null)).toEqual([]);
    expect(iceServers('<https://a.example>; rel="ice-server", <stun:a>; rel="next", <turn:b>; rel="ice-server"')).toEqual([]);
  });

  it("remembers the newest answer for the next connection", () => {
    expect(learnIceServers(new Response(""))).toBe(10_000);
    // Sooner, for the next connection has servers that this one has not.
    expect(learnIceServers(new Response("", { headers: { link: STUN } }))).toBe(4_000);
    expect(knownIceServers()).toHaveLength(1);
    expect(learnIceServers(new Response("", { headers: { link: TURN } }))).toBe(10_000);
    learnIceServers(new Response(""));
    expect(knownIceServers()).toEqual([]);
  });
});
