-- The database of a sweep. Documented in docs/queue.md; opens in Datasette as it is.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

-- One row for each audited head.
CREATE TABLE audits (
  id INTEGER PRIMARY KEY,
  pr INTEGER,                -- pull request of openai/parameter-golf
  head TEXT,                 -- commit that was audited
  folder TEXT,               -- primary record folder
  verdict TEXT NOT NULL,     -- PASS, REVIEW, FAIL, INCONCLUSIVE, NOT_APPLICABLE, ERROR
  reason TEXT NOT NULL,      -- the verdict in one line
  message TEXT NOT NULL,     -- the worst finding
  submitted_on TEXT,         -- ISO date
  claimed_bpb REAL,          -- claimed score in bits per byte
  script_path TEXT,
  script_oid TEXT,           -- git blob id: equal scripts have equal ids
  lineage INTEGER NOT NULL,  -- group of identical or nearly identical scripts; 0 without a script
  run_outcome TEXT NOT NULL,
  run_blocker TEXT,
  seconds REAL NOT NULL,
  was_verdict TEXT NOT NULL, -- in the earlier sweep; 'new' if it did not have this head, '' without one
  was_head TEXT NOT NULL
);
CREATE INDEX audits_pr ON audits (pr);
CREATE INDEX audits_lineage ON audits (lineage);
CREATE INDEX audits_script ON audits (script_oid);

CREATE TABLE rules (
  rule TEXT PRIMARY KEY,
  title TEXT NOT NULL,
  condition TEXT NOT NULL,   -- C1, C2, C3, C4, DATA, BPB, SIZE, TIME, STATS, REPRO, FORMAT
  authority TEXT NOT NULL,   -- organizer, author, community
  severity TEXT NOT NULL,    -- fail, review, note
  standing TEXT NOT NULL     -- settled, disputed
);

-- One row for each head and rule.
CREATE TABLE rule_verdicts (
  audit INTEGER NOT NULL REFERENCES audits (id),
  rule TEXT NOT NULL REFERENCES rules (rule),
  verdict TEXT NOT NULL,
  confidence REAL NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (audit, rule)
) WITHOUT ROWID;
CREATE INDEX rule_verdicts_rule ON rule_verdicts (rule, verdict);

CREATE TABLE findings (
  id INTEGER PRIMARY KEY,
  audit INTEGER NOT NULL REFERENCES audits (id),
  rule TEXT NOT NULL REFERENCES rules (rule),
  fingerprint TEXT NOT NULL, -- stable when lines shift: find the same offence elsewhere
  message TEXT NOT NULL,
  path TEXT NOT NULL,
  layer TEXT,                -- unpacked layer of a packed script
  line INTEGER NOT NULL,
  strength TEXT NOT NULL,    -- convicts, suspect, remark
  confidence REAL NOT NULL,
  evidence TEXT NOT NULL,    -- static, counterexample, measurement, document
  summary TEXT NOT NULL,
  reach TEXT NOT NULL
);
CREATE INDEX findings_audit ON findings (audit);
CREATE INDEX findings_rule ON findings (rule);
CREATE INDEX findings_fingerprint ON findings (fingerprint);

CREATE TABLE experiments (
  id INTEGER PRIMARY KEY,
  audit INTEGER NOT NULL REFERENCES audits (id),
  name TEXT NOT NULL,
  result TEXT NOT NULL,      -- holds, violated, undecided, not_run
  summary TEXT NOT NULL,
  replay TEXT
);
CREATE INDEX experiments_name ON experiments (name, result);

-- What a reviewer works through: worst first (what touches the score, then limits, then form), then what
-- serves most heads at once.
CREATE VIEW queue AS
SELECT a.pr, a.verdict, a.message, a.claimed_bpb, a.submitted_on, a.lineage,
       (SELECT count(*) FROM audits b WHERE b.lineage = a.lineage AND a.lineage > 0) AS same_script,
       'https://github.com/openai/parameter-golf/pull/' || a.pr AS url
FROM audits a
ORDER BY CASE a.verdict WHEN 'FAIL' THEN 0 WHEN 'ERROR' THEN 1 WHEN 'REVIEW' THEN 2
         WHEN 'INCONCLUSIVE' THEN 3 ELSE 4 END,
         (SELECT min(CASE WHEN r.condition IN ('SIZE', 'TIME') THEN 1
                          WHEN r.condition IN ('STATS', 'REPRO', 'FORMAT') THEN 2 ELSE 0 END)
          FROM rule_verdicts v JOIN rules r USING (rule) WHERE v.audit = a.id AND v.verdict = a.verdict),
         same_script DESC, a.pr;

-- How often each rule fired, held or could not be decided.
CREATE VIEW rule_counts AS
SELECT r.rule, r.condition, r.authority,
       sum(v.verdict = 'FAIL') AS fail, sum(v.verdict = 'REVIEW') AS review,
       sum(v.verdict = 'PASS') AS pass, sum(v.verdict = 'INCONCLUSIVE') AS undecided,
       sum(v.verdict = 'ERROR') AS error
FROM rules r JOIN rule_verdicts v USING (rule) GROUP BY r.rule ORDER BY fail DESC, review DESC;

-- Groups of scripts, and whether their heads got different verdicts.
CREATE VIEW lineages AS
SELECT lineage, count(*) AS heads, count(DISTINCT script_oid) AS scripts, min(pr) AS first_pr,
       group_concat(DISTINCT verdict) AS verdicts, count(DISTINCT verdict) > 1 AS split
FROM audits WHERE lineage > 0 GROUP BY lineage ORDER BY heads DESC;

-- Heads whose verdict or commit differs from the earlier sweep.
CREATE VIEW changed AS
SELECT pr, was_verdict, verdict, was_head, head, message FROM audits
WHERE was_verdict <> '' AND (was_verdict <> verdict OR was_head <> coalesce(head, ''))
ORDER BY pr;
