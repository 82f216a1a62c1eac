/** Files of a brand's reports: asked for, made in the background, fetched. */
import { api, seg } from "./client";
import type { Dimension } from "./reports";

export const FORMATS = ["csv", "xlsx", "parquet", "json"] as const;
export type FileFormat = (typeof FORMATS)[number];

/** The ledger's lines, or a report's rows. */
export type FileTable = "lines" | Exclude<Dimension, "brand">;

export type ExportState = "queued" | "running" | "done" | "failed" | "expired";

export interface Export {
  export_id: string;
  brand_id: string;
  format: FileFormat;
  table: FileTable;
  state: ExportState;
  /** null until they were counted. */
  rows_total: number | null;
  rows_done: number;
  units: number;
  net_minor: number;
  commission_minor: number;
  bytes: number;
  sha256: string | null;
  /** Why it cannot be made, in the server's words. */
  failure: string | null;
  created_at_ms: number;
  done_at_ms: number | null;
  expires_at_ms: number | null;
}

export interface FileRequest {
  format: FileFormat;
  table: FileTable;
  /** As the reports' own query, in the server's words. */
  filter: Record<string, string | number>;
}

const exportsOf = (brandId: string): string => `/v1/brands/${seg(brandId)}/exports`;

export const exports = {
  list: async (brandId: string) => (await api.get<{ items: Export[] }>(exportsOf(brandId))).items,
  ask: (brandId: string, request: FileRequest, idempotencyKey: string) => api.post<Export>(exportsOf(brandId), request, { idempotencyKey }),
  filePath: (id: string) => `/v1/exports/${seg(id)}/file`,
};
