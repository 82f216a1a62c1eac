import { describe, expect, it } from "vitest";
import type { ImportReport } from "../src/api/types";
import { isChecked } from "../src/pages/brand/import-steps";

describe("an import", () => {
  const content = new ArrayBuffer(3);
  const report = (dry_run: boolean): ImportReport => ({
    rows: 1, products_created: 1, products_updated: 0, skus_created: 1, skus_updated: 0, stock_counted: 1, dry_run, errors: [], errors_left_off: 0,
  });

  it("is done only with the very file and place that were checked, and once", () => {
    const choice = { content, locationId: "loc_1" };
    expect(isChecked(choice, null)).toBe(false);
    expect(isChecked(null, { choice, report: report(true) })).toBe(false);
    expect(isChecked(choice, { choice: { ...choice }, report: report(true) })).toBe(true);
    expect(isChecked(choice, { choice: { ...choice, locationId: "loc_2" }, report: report(true) })).toBe(false);
    expect(isChecked(choice, { choice: { ...choice, content: new ArrayBuffer(3) }, report: report(true) })).toBe(false);
    expect(isChecked(choice, { choice, report: report(false) })).toBe(false);
  });
});
