-- What a brand's own tools (BI, spreadsheets by ODBC) may read, on PostgreSQL. Derived: dropped before migrations and made
-- again after them. Times are timestamptz here; nothing in here names a buyer.
CREATE SCHEMA reporting;

-- The brands of whoever signed in. SET ROLE does not change that.
CREATE FUNCTION reporting.brands() RETURNS SETOF TEXT
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
$$ SELECT brand_id FROM public.reporting_readers WHERE role = session_user AND ended_at_ms IS NULL $$;
-- Whether it is, or ever was, somebody's tool.
CREATE FUNCTION reporting.is_reader() RETURNS BOOLEAN
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS
$$ SELECT EXISTS (SELECT 1 FROM public.reporting_readers WHERE role = session_user) $$;

CREATE VIEW reporting.credits WITH (security_barrier) AS
SELECT c.id AS credit_id, to_timestamp(c.at_ms / 1000.0) AS at, c.kind, c.brand_id, o.number AS order_number,
       c.order_line_id, c.live_id, l.title AS live_title, c.party_id AS liver_id, v.display_name AS liver_name,
       c.product_id, n.product_title, n.variant, c.sku_id, c.channel, c.location_id, c.campaign, c.qty,
       c.base_minor AS net_jpy, c.share_bp, c.commission_bp, c.commission_minor AS commission_jpy, c.rule, c.rule_version,
       c.contract_id, c.contract_version
FROM public.credits c
JOIN public.orders o ON o.id = c.order_id
JOIN public.order_lines n ON n.id = c.order_line_id
JOIN public.lives l ON l.id = c.live_id
JOIN public.livers v ON v.id = c.party_id
WHERE c.pool = 'liver' AND c.brand_id IN (SELECT reporting.brands());

CREATE VIEW reporting.products WITH (security_barrier) AS
SELECT p.id AS product_id, p.brand_id, p.title, k.id AS sku_id, k.variant, k.jan, k.price_minor AS price_jpy, k.tax_rate_bp
FROM public.products p
JOIN public.skus k ON k.product_id = p.id
WHERE p.brand_id IN (SELECT reporting.brands());

CREATE VIEW reporting.lives WITH (security_barrier) AS
SELECT l.id AS live_id, l.title, v.display_name AS liver_name, to_timestamp(l.started_at_ms / 1000.0) AS started_at,
       to_timestamp(l.ended_at_ms / 1000.0) AS ended_at, l.peak_viewers
FROM public.lives l
JOIN public.livers v ON v.id = l.liver_id
WHERE EXISTS (SELECT 1 FROM public.pins i JOIN public.products p ON p.id = i.product_id
              WHERE i.live_id = l.id AND p.brand_id IN (SELECT reporting.brands()));

-- And behind the views: a reader who is given the table itself by mistake still sees the own rows only, also once it may
-- read no brand any more. The server's own role is not held by it, whether it owns the tables or not; such a role uses
-- the schema to ask who it is.
GRANT USAGE ON SCHEMA reporting TO PUBLIC;
ALTER TABLE public.credits ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS of_own_brand ON public.credits;
CREATE POLICY of_own_brand ON public.credits
    USING (NOT (SELECT reporting.is_reader()) OR brand_id IN (SELECT reporting.brands()));
ALTER TABLE public.order_lines ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS of_own_brand ON public.order_lines;
CREATE POLICY of_own_brand ON public.order_lines
    USING (NOT (SELECT reporting.is_reader()) OR brand_id IN (SELECT reporting.brands()));
