-- The queue in SQLite. The CHECKs repeat the invariants of states.py, so that a bug in the code above cannot store a
-- state that no code below knows how to leave. Times are seconds since the epoch.

CREATE TABLE worker (
    id        TEXT PRIMARY KEY,
    host      TEXT NOT NULL,
    pid       INTEGER NOT NULL,
    started   INTEGER NOT NULL,
    heartbeat REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,  -- the number of a purged job never comes back
    kind            TEXT NOT NULL CHECK (kind IN ('sync', 'copy', 'archive')),
    source          TEXT NOT NULL,
    destination     TEXT NOT NULL,
    options         TEXT NOT NULL CHECK (json_valid(options)),
    labels          TEXT NOT NULL CHECK (json_valid(labels)),
    priority        INTEGER NOT NULL,
    submission_id   TEXT,
    user            TEXT NOT NULL DEFAULT '',  -- of the API whose job it is; '': it came through the command
    owner           TEXT CHECK (json_valid(owner)),  -- what else of the owner counts: [root, uid, gid, groups]
    state           TEXT NOT NULL CHECK (state IN
                        ('queued', 'running', 'paused', 'cancelling', 'done', 'incomplete', 'failed', 'cancelled')),
    phase           TEXT NOT NULL CHECK (phase IN ('copy', 'delete', 'done')),
    created         REAL NOT NULL,
    started         REAL,
    finished        REAL,
    error           TEXT,
    waiting         TEXT,
    note            TEXT,  -- what a person should know of how it went, whatever became of it
    after           TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(after)),  -- numbers of jobs that have to be done first
    told            INTEGER NOT NULL DEFAULT 0 CHECK (told >= 0),  -- which of its events were written to `notice`
    deadline        REAL,  -- at which it fails if it is not over; NULL also after a retry of a job that missed it
    forgiven        INTEGER NOT NULL DEFAULT 0,  -- failures that --max-errors does not count: of before the last retry

    -- the planner: a lease of its own, and how far it came
    cursor          BLOB NOT NULL DEFAULT x'',  -- UTF-8 of a key; a blob, for a file name may not be UTF-8
    plan_worker     TEXT REFERENCES worker (id),
    plan_fence      INTEGER NOT NULL DEFAULT 0 CHECK (plan_fence >= 0),
    plan_not_before REAL NOT NULL DEFAULT 0,
    sort_source     INTEGER NOT NULL DEFAULT 0 CHECK (sort_source IN (0, 1)),  -- its listing has no key order
    sort_destination INTEGER NOT NULL DEFAULT 0 CHECK (sort_destination IN (0, 1)),

    -- how many batches there are, kept by the triggers below
    ready           INTEGER NOT NULL DEFAULT 0 CHECK (ready >= 0),
    leased          INTEGER NOT NULL DEFAULT 0 CHECK (leased >= 0),
    thawing         INTEGER NOT NULL DEFAULT 0 CHECK (thawing >= 0),  -- objects in `thaw`, kept by its triggers

    listed          INTEGER NOT NULL DEFAULT 0 CHECK (listed >= 0),
    excluded        INTEGER NOT NULL DEFAULT 0 CHECK (excluded >= 0),
    unchanged       INTEGER NOT NULL DEFAULT 0 CHECK (unchanged >= 0),
    unchanged_bytes INTEGER NOT NULL DEFAULT 0 CHECK (unchanged_bytes >= 0),
    planned         INTEGER NOT NULL DEFAULT 0 CHECK (planned >= 0),
    planned_bytes   INTEGER NOT NULL DEFAULT 0 CHECK (planned_bytes >= 0),
    done            INTEGER NOT NULL DEFAULT 0 CHECK (done >= 0),
    done_bytes      INTEGER NOT NULL DEFAULT 0 CHECK (done_bytes >= 0),
    deleted         INTEGER NOT NULL DEFAULT 0 CHECK (deleted >= 0),
    vanished        INTEGER NOT NULL DEFAULT 0 CHECK (vanished >= 0),
    failed          INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    retries         INTEGER NOT NULL DEFAULT 0 CHECK (retries >= 0),
    extra           INTEGER NOT NULL DEFAULT 0 CHECK (extra >= 0),
    archived        INTEGER NOT NULL DEFAULT 0 CHECK (archived >= 0),

    UNIQUE (user, submission_id),
    CHECK ((user <> '') = (owner IS NOT NULL)),
    CHECK ((finished IS NOT NULL) = (state IN ('done', 'incomplete', 'failed', 'cancelled'))),
    CHECK ((error IS NOT NULL) = (state = 'failed')),
    CHECK (state <> 'running' OR started IS NOT NULL),
    CHECK (plan_worker IS NULL OR (state = 'running' AND phase <> 'done')),
    CHECK (state NOT IN ('queued', 'done', 'incomplete', 'cancelled') OR leased = 0),
    CHECK (state <> 'done' OR (phase = 'done' AND ready = 0 AND thawing = 0 AND failed = 0)),
    CHECK (state <> 'incomplete' OR (phase = 'done' AND ready = 0 AND thawing = 0 AND failed > 0))
) STRICT;

-- Both claims walk an index in the order of the claim and stop at the first row that fits, however many jobs wait.
CREATE INDEX job_claimable ON job (priority DESC, leased, id) WHERE ready > 0 AND state IN ('queued', 'running');
CREATE INDEX job_plannable ON job (priority DESC, ready, id)
    WHERE plan_worker IS NULL AND phase <> 'done' AND state IN ('queued', 'running')
      AND plan_not_before < 1e15;  -- those that start after others are not walked past, see sqlite_after.py
CREATE INDEX job_planned_by ON job (plan_worker) WHERE plan_worker IS NOT NULL;
CREATE INDEX job_by_state ON job (state);
CREATE INDEX job_deadline ON job (deadline) WHERE deadline IS NOT NULL AND finished IS NULL;
CREATE INDEX job_thawing ON job (id) WHERE thawing > 0 AND state IN ('queued', 'running');
CREATE INDEX job_finished ON job (finished) WHERE finished IS NOT NULL;
CREATE INDEX job_after ON job (id) WHERE after <> '[]' AND finished IS NULL;
CREATE INDEX job_of_user ON job (user, id) WHERE user <> '';
CREATE INDEX job_untold ON job (id) WHERE finished IS NOT NULL AND told & 1 = 0;
CREATE INDEX job_first_error ON job (id) WHERE failed > 0 AND finished IS NULL AND told & 2 = 0;

CREATE TABLE batch (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- part of the fence: never used twice
    job_id      INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    state       TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'dead')),
    items       INTEGER NOT NULL CHECK (items > 0),
    payload     BLOB NOT NULL,
    finished    BLOB NOT NULL DEFAULT x'',  -- one bit an object, least significant first
    worker_id   TEXT REFERENCES worker (id),
    fence       INTEGER NOT NULL DEFAULT 0 CHECK (fence >= 0),  -- grows with every claim, never falls
    tries       INTEGER NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND fence),  -- the claims that count as attempts
    not_before  REAL NOT NULL DEFAULT 0,
    ready_since REAL NOT NULL,
    CHECK ((state = 'leased') = (worker_id IS NOT NULL)),
    CHECK ((state = 'dead') = (length(payload) = 0))  -- the objects of a dead batch stand in `failure`
) STRICT;

CREATE INDEX batch_by_job ON batch (job_id, state, not_before);
CREATE INDEX batch_held_by ON batch (worker_id) WHERE worker_id IS NOT NULL;

CREATE TRIGGER batch_added AFTER INSERT ON batch BEGIN
    UPDATE job SET ready = ready + (NEW.state = 'ready'), leased = leased + (NEW.state = 'leased')
    WHERE id = NEW.job_id;
END;
CREATE TRIGGER batch_moved AFTER UPDATE OF state ON batch BEGIN
    UPDATE job SET ready = ready + (NEW.state = 'ready') - (OLD.state = 'ready'),
                   leased = leased + (NEW.state = 'leased') - (OLD.state = 'leased')
    WHERE id = NEW.job_id;
END;
CREATE TRIGGER batch_removed AFTER DELETE ON batch BEGIN
    UPDATE job SET ready = ready - (OLD.state = 'ready'), leased = leased - (OLD.state = 'leased')
    WHERE id = OLD.job_id;
END;

CREATE TABLE failure (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they happened
    job_id   INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    item     TEXT NOT NULL CHECK (json_valid(item)),
    error    TEXT NOT NULL,
    message  TEXT NOT NULL,
    attempts INTEGER NOT NULL
) STRICT;

CREATE INDEX failure_by_job ON failure (job_id);

CREATE TABLE multipart (
    id          INTEGER PRIMARY KEY,
    job_id      INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    key         BLOB NOT NULL,
    token       TEXT NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    part_size   INTEGER NOT NULL CHECK (part_size > 0),
    fingerprint TEXT NOT NULL,
    write_token TEXT NOT NULL,
    UNIQUE (job_id, key)
) STRICT;

CREATE TABLE part (
    multipart_id INTEGER NOT NULL REFERENCES multipart (id) ON DELETE CASCADE,
    number       INTEGER NOT NULL CHECK (number >= 1),
    size         INTEGER NOT NULL CHECK (size >= 0),
    etag         TEXT NOT NULL,
    crc64nvme    TEXT NOT NULL,
    PRIMARY KEY (multipart_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE transfer (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- the number of a purged transfer never comes back
    direction   TEXT NOT NULL CHECK (direction IN ('upload', 'download')),
    state       TEXT NOT NULL CHECK (state IN
                    ('waiting', 'moving', 'ready', 'done', 'expired', 'failed', 'cancelled', 'timeout')),
    system      TEXT NOT NULL,
    user        TEXT NOT NULL CHECK (user <> ''),
    owner       TEXT NOT NULL CHECK (json_valid(owner)),  -- as in job
    path        TEXT NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    bucket      TEXT NOT NULL,
    key         TEXT NOT NULL,
    part_size   INTEGER NOT NULL CHECK (part_size >= 0),
    deadline    REAL,
    lifetime    REAL NOT NULL CHECK (lifetime >= 0),
    fingerprint TEXT NOT NULL,
    archive     INTEGER NOT NULL CHECK (archive IN (0, 1)),
    account     TEXT NOT NULL,
    no_clobber  INTEGER NOT NULL CHECK (no_clobber IN (0, 1)),
    created     REAL NOT NULL,
    changed     REAL NOT NULL,
    finished    REAL,
    upload_id   TEXT NOT NULL DEFAULT '',
    job_id      INTEGER,  -- of a job that may be purged by now: its number never comes back
    staged      INTEGER NOT NULL CHECK (staged IN (0, 1)),
    expires     REAL,
    error       TEXT,
    etag        TEXT NOT NULL DEFAULT '',
    crc64nvme   TEXT NOT NULL DEFAULT '',
    next_look   REAL NOT NULL,
    looks       INTEGER NOT NULL DEFAULT 0 CHECK (looks >= 0),

    UNIQUE (bucket, key),
    CHECK ((finished IS NOT NULL) = (state IN ('done', 'expired', 'failed', 'cancelled', 'timeout'))),
    CHECK (state <> 'failed' OR error IS NOT NULL),
    CHECK (error IS NULL OR state IN ('failed', 'cancelled', 'timeout')),
    CHECK ((direction = 'upload') = (part_size > 0)),
    CHECK ((direction = 'upload') = (deadline IS NOT NULL)),
    CHECK (direction = 'upload' OR (upload_id = '' AND state NOT IN ('waiting', 'done', 'timeout'))),
    CHECK (direction = 'download' OR (expires IS NULL AND state NOT IN ('ready', 'expired'))),
    CHECK (state NOT IN ('ready', 'expired') OR expires IS NOT NULL)
) STRICT;

CREATE INDEX transfer_due ON transfer (next_look, id) WHERE finished IS NULL OR staged;
CREATE INDEX transfer_of_user ON transfer (user, id);
CREATE INDEX transfer_under_way ON transfer (user) WHERE state IN ('waiting', 'moving');
CREATE INDEX transfer_of_job ON transfer (job_id) WHERE finished IS NULL;
CREATE INDEX transfer_download ON transfer (user, path, fingerprint)
    WHERE direction = 'download' AND state IN ('moving', 'ready');
CREATE INDEX transfer_ended ON transfer (finished) WHERE finished IS NOT NULL AND NOT staged;

CREATE TABLE task (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order in which they are done
    job_id         INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    kind           TEXT NOT NULL CHECK (kind IN ('import', 'export', 'release')),
    fsx            TEXT NOT NULL,
    file_system_id TEXT NOT NULL,
    path           TEXT NOT NULL,
    report         TEXT NOT NULL,
    token          TEXT NOT NULL UNIQUE CHECK (length(token) BETWEEN 1 AND 63),
    state          TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN
                       ('waiting', 'asked', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled', 'refused')),
    created        REAL NOT NULL,
    changed        REAL NOT NULL,
    next_look      REAL NOT NULL,
    looks          INTEGER NOT NULL DEFAULT 0 CHECK (looks >= 0),
    task_id        TEXT NOT NULL DEFAULT '',
    started        REAL,
    finished       REAL,
    total          INTEGER NOT NULL DEFAULT 0 CHECK (total >= 0),
    succeeded      INTEGER NOT NULL DEFAULT 0 CHECK (succeeded >= 0),
    failed         INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    error          TEXT,

    CHECK ((finished IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled', 'refused'))),
    CHECK (state NOT IN ('failed', 'refused') OR error IS NOT NULL),
    CHECK (error IS NULL OR state IN ('failed', 'refused', 'cancelled')),
    CHECK (state <> 'running' OR task_id <> '')  -- nobody could ask FSx how it goes on
) STRICT;

CREATE UNIQUE INDEX task_at_fsx ON task (file_system_id) WHERE state IN ('asked', 'running', 'cancelling');
CREATE INDEX task_turn ON task (file_system_id, id) WHERE finished IS NULL;
CREATE INDEX task_due ON task (next_look, id) WHERE finished IS NULL;
CREATE INDEX task_of_job ON task (job_id, id);
CREATE INDEX task_open ON task (job_id) WHERE finished IS NULL;

CREATE TABLE thaw (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id        INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    item          TEXT NOT NULL CHECK (json_valid(item)),
    size          INTEGER NOT NULL CHECK (size >= 0),
    storage_class TEXT NOT NULL DEFAULT '',  -- as S3 named it; '' before the first look
    asked         REAL,  -- when S3 was asked to restore it
    expected      REAL,  -- about when it can be read
    next_look     REAL NOT NULL,
    looks         INTEGER NOT NULL DEFAULT 0 CHECK (looks >= 0),
    readable      INTEGER NOT NULL DEFAULT 0 CHECK (readable IN (0, 1))  -- it is to become part of a batch again
) STRICT;

CREATE INDEX thaw_due ON thaw (job_id, next_look) WHERE NOT readable;
CREATE INDEX thaw_readable ON thaw (job_id, id) WHERE readable;
CREATE INDEX thaw_of_job ON thaw (job_id, expected);

CREATE TRIGGER thaw_added AFTER INSERT ON thaw BEGIN
    UPDATE job SET thawing = thawing + 1 WHERE id = NEW.job_id;
END;
CREATE TRIGGER thaw_removed AFTER DELETE ON thaw BEGIN
    UPDATE job SET thawing = thawing - 1 WHERE id = OLD.job_id;
END;

CREATE TABLE schedule (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE CHECK (name <> ''),
    origin     TEXT NOT NULL CHECK (origin IN ('config', 'command')),
    trigger    TEXT NOT NULL CHECK (trigger IN ('cron', 'every', 'watch', 'messages', 'after')),
    rule       TEXT NOT NULL CHECK (json_valid(rule)),
    command    TEXT NOT NULL CHECK (json_array_length(command) > 0),
    cwd        TEXT NOT NULL,
    paused     INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    planned    REAL,
    due        REAL,
    held_since REAL,
    fired      REAL,
    succeeded  REAL,
    jobs       TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(jobs)),  -- numbers of jobs that may be purged by now
    pending    TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(pending)),  -- likewise
    note       TEXT,
    error      TEXT,
    created    REAL NOT NULL,
    revision   INTEGER NOT NULL DEFAULT 0 CHECK (revision >= 0),
    holder     TEXT,  -- a worker, which may be gone: then anybody takes it over

    CHECK ((planned IS NULL) = (due IS NULL)),
    CHECK (planned IS NULL OR trigger IN ('cron', 'every')),
    CHECK (due >= planned)
) STRICT;

CREATE TABLE notice (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id    INTEGER NOT NULL,  -- of a job that may be purged by now: its number never comes back
    event     TEXT NOT NULL CHECK (event IN ('done', 'incomplete', 'failed', 'cancelled', 'first_error', 'stalled')),
    name      TEXT NOT NULL CHECK (name <> ''),
    token     TEXT NOT NULL UNIQUE CHECK (token <> ''),
    body      TEXT NOT NULL CHECK (json_valid(body)),
    state     TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'given_up')),
    created   REAL NOT NULL,
    changed   REAL NOT NULL,
    next_look REAL NOT NULL,
    looks     INTEGER NOT NULL DEFAULT 0 CHECK (looks >= 0),
    error     TEXT,

    UNIQUE (job_id, event, name),
    CHECK (state <> 'given_up' OR error IS NOT NULL)
) STRICT;

CREATE INDEX notice_due ON notice (next_look, id) WHERE state = 'waiting';
