/** Pure: a bank account as it is typed, and as banks take it. */
import type { Payee, Payer } from "../api/settlement";

export const EMPTY_PAYEE: Payee = {
  name_kana: "", bank_code: "", branch_code: "", account_type: "ordinary", account_number: "", holder_kana: "", registration: null,
};

/** Digits in any width; spaces and hyphens are how people group them. */
export function digits(text: string): string {
  return text.normalize("NFKC").replace(/[\s-]/g, "");
}

/** As banks write names: half-width in their files, so full-width katakana here is the same name. Hiragana is taken too. */
export function kana(text: string): string {
  return text.normalize("NFKC").replace(/[\u3041-\u3096]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 0x60)).replace(/\s+/g, " ").trim().toUpperCase();
}

const KANA = /^[\u30a1-\u30f6ーA-Z0-9().\-/ ]+$/;

export const EMPTY_PAYER: Payer = { consignor_code: "", name_kana: "", bank_code: "", branch_code: "", account_type: "ordinary", account_number: "" };

export type PayerField = keyof Payer;

export function payerOf(typed: Payer): { payer: Payer } | { wrong: PayerField } {
  const consignor = digits(typed.consignor_code);
  if (!/^\d{1,10}$/.test(consignor)) return { wrong: "consignor_code" };
  const read = payeeOf({ ...typed, holder_kana: typed.name_kana, registration: null });
  if ("wrong" in read) return { wrong: read.wrong as PayerField };
  const { name_kana, bank_code, branch_code, account_number } = read.payee;
  return { payer: { consignor_code: consignor.padStart(10, "0"), name_kana, bank_code, branch_code, account_type: typed.account_type, account_number } };
}

export type PayeeField = keyof Payee;

/** The account, or the first field that is wrong. An account number that is too short is one with zeros before it. */
export function payeeOf(typed: Payee): { payee: Payee } | { wrong: PayeeField } {
  const registration = typed.registration === null ? "" : digits(typed.registration).toUpperCase();
  const number = digits(typed.account_number);
  const payee: Payee = {
    name_kana: kana(typed.name_kana), bank_code: digits(typed.bank_code), branch_code: digits(typed.branch_code), account_type: typed.account_type,
    account_number: /^\d{1,7}$/.test(number) ? number.padStart(7, "0") : number, holder_kana: kana(typed.holder_kana), registration: registration === "" ? null : registration,
  };
  if (!KANA.test(payee.name_kana)) return { wrong: "name_kana" };
  if (!/^\d{4}$/.test(payee.bank_code)) return { wrong: "bank_code" };
  if (!/^\d{3}$/.test(payee.branch_code)) return { wrong: "branch_code" };
  if (!/^\d{7}$/.test(payee.account_number)) return { wrong: "account_number" };
  if (!KANA.test(payee.holder_kana)) return { wrong: "holder_kana" };
  if (payee.registration !== null && !/^T\d{13}$/.test(payee.registration)) return { wrong: "registration" };
  return { payee };
}
