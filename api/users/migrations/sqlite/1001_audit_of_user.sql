-- What was done by one user or to it is read for its export: without these the whole log would be walked.

CREATE INDEX audit_by_actor ON audit (actor, seq);
CREATE INDEX audit_by_subject ON audit (subject, seq);
