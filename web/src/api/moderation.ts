/** Keeping order in a liver's lives, over REST: every path of it, and the shapes that come back. */
import { api, call, seg } from "./client";

/** Whose line or question: people are named by what a moderator sees. */
export type Subject = { chat_id: string } | { question_id: string };

export interface Mute {
  id: string;
  /** Only in this live; in all of the liver's when null. */
  live_id: string | null;
  display_name: string;
  by_name: string;
  muted_at_ms: number;
  /** For good when null. */
  until_ms: number | null;
}

export interface Ban {
  id: string;
  display_name: string;
  /** Whoever comes from where this person came from, too. */
  with_address: boolean;
  by_name: string;
  banned_at_ms: number;
}

export interface Moderator {
  account_id: string;
  display_name: string;
  email: string;
}

export interface Word {
  id: string;
  word: string;
}

export interface LogEntry {
  id: string;
  at_ms: number;
  /** null: nobody's deed that is known any more. */
  by_name: string | null;
  /** moderation.mute, question.hide, … */
  action: string;
  /** About whom, and what else is worth knowing. */
  detail: Readonly<Record<string, unknown>> | null;
}

/** A question that was put on air. */
export interface Chapter {
  id: string;
  text: string;
  chapter_at_ms: number | null;
}

export interface BanAlso {
  /** Whoever comes from where this person comes from, too. */
  with_address: boolean;
  /** What they said in this live is taken away. */
  delete_lines: boolean;
}

interface Items<T> {
  items: T[];
}

const live = (id: string): string => `/v1/lives/${seg(id)}`;
const itemsOf = async <T>(path: string): Promise<T[]> => (await api.get<Items<T>>(path)).items;
const put = <T>(path: string, body: unknown): Promise<T> => call<T>("PUT", path, { body });

export const moderation = {
  // People. Seconds left out: for good, in this live.
  mute: (liveId: string, subject: Subject, seconds?: number) =>
    api.post<Mute>(`${live(liveId)}/mutes`, { ...subject, ...(seconds === undefined ? {} : { duration_s: seconds }) }),
  unmute: (liveId: string, muteId: string) => api.remove(`${live(liveId)}/mutes/${seg(muteId)}`),
  mutes: (liveId: string) => itemsOf<Mute>(`${live(liveId)}/mutes`),
  ban: (liveId: string, subject: Subject, also: BanAlso) =>
    api.post<Ban>(`${live(liveId)}/bans`, { ...subject, ...also }),
  unban: (liveId: string, banId: string) => api.remove(`${live(liveId)}/bans/${seg(banId)}`),
  bans: (liveId: string) => itemsOf<Ban>(`${live(liveId)}/bans`),

  // The chat.
  setRules: (liveId: string, rules: { slow_mode_s: number; followers_only: boolean }) =>
    put<unknown>(`${live(liveId)}/chat-rules`, rules),
  deleteLine: (liveId: string, chatId: string) => api.remove(`${live(liveId)}/chat/${seg(chatId)}`),
  pinLine: (liveId: string, chatId: string) => put<unknown>(`${live(liveId)}/chat-pin`, { chat_id: chatId }),
  unpinLine: (liveId: string) => api.remove(`${live(liveId)}/chat-pin`),

  // Questions.
  hide: (questionId: string) => api.post<unknown>(`/v1/questions/${seg(questionId)}/hide`),
  merge: (questionId: string, into: string) => api.post<unknown>(`/v1/questions/${seg(questionId)}/merge`, { into }),
  /** null: about none. */
  setProduct: (questionId: string, productId: string | null) =>
    put<unknown>(`/v1/questions/${seg(questionId)}/product`, { product_id: productId }),
  chapters: (liveId: string) => itemsOf<Chapter>(`${live(liveId)}/chapters`),

  // The house: what holds in all of the liver's lives.
  words: (liverId: string) => itemsOf<Word>(`/v1/livers/${seg(liverId)}/words`),
  addWords: (liverId: string, words: readonly string[]) => api.post<unknown>(`/v1/livers/${seg(liverId)}/words`, { words }),
  removeWord: (liverId: string, wordId: string) => api.remove(`/v1/livers/${seg(liverId)}/words/${seg(wordId)}`),
  moderators: () => itemsOf<Moderator>("/v1/me/moderators"),
  appoint: (email: string) => api.post<Moderator>("/v1/me/moderators", { email }),
  dismiss: (accountId: string) => api.remove(`/v1/me/moderators/${seg(accountId)}`),
  log: (liveId: string) => itemsOf<LogEntry>(`${live(liveId)}/moderation-log`),

  // The viewer's side.
  follow: (liverId: string) => put<unknown>(`/v1/livers/${seg(liverId)}/follow`, {}),
  unfollow: (liverId: string) => api.remove(`/v1/livers/${seg(liverId)}/follow`),
};
