-- The least that the controller needs of a mail database on PostgreSQL 15 or newer.
--
-- Run it as the owner of the application's tables and of the controller's schema, after `maildomain-controller migrate`
-- and again after every upgrade:
--
--     psql "$OWNER_URL" -v ON_ERROR_STOP=1 -v role=maildomain_controller -f grants.sql
--
-- Variables:
--     role        the role that `run`, `apply`, `plan` and the other commands log in as; it must exist
--     serve_role  the role that `serve` logs in as, when it is another one: it reaches nothing but the hints
--     review_role the role that `serve` logs in as where it answers access reviews, with or without hints
--     reader_role the role of somebody who asks which services may be opened, and sees nothing else
--     app_schema  where the application's tables are; default: public
--     prune       yes: the role may delete from the journal, which MDC_JOURNAL_RETENTION needs; default: no
--
-- `migrate` is run by another role, which may create the schema maildomain_controller. A role for `plan` and `explain`
-- alone needs only the first part without INSERT and DELETE.

\set ON_ERROR_STOP on
\if :{?role}
\else
    \echo 'Name the role: psql -v role=NAME -f grants.sql'
    DO $$ BEGIN RAISE EXCEPTION 'the variable role is not set'; END $$;
\endif
\if :{?prune}
\else
    \set prune no
\endif
\if :{?app_schema}
\else
    \set app_schema public
\endif

BEGIN;

-- The application: only the columns that are looked at (the password hashes are not among them), and the accesses.
-- `oidc_claims` is there from some version on; `is_superuser` is for those who may open every service.
GRANT USAGE ON SCHEMA :"app_schema" TO :"role";
SELECT format('GRANT SELECT (%s) ON %I.messages_user TO %I', string_agg(quote_ident(column_name), ', '), table_schema, :'role')
FROM information_schema.columns
WHERE table_schema = :'app_schema' AND table_name = 'messages_user'
  AND column_name IN ('id', 'email', 'is_active', 'is_superuser', 'oidc_claims', 'updated_at')
GROUP BY table_schema \gexec
GRANT SELECT ON :"app_schema".messages_maildomain TO :"role";
GRANT SELECT, INSERT, DELETE ON :"app_schema".messages_maildomainaccess TO :"role";

-- The controller's own tables. Cases, holds and the fence are never deleted; the journal only grows, unless it is
-- pruned.
GRANT USAGE ON SCHEMA maildomain_controller TO :"role";
GRANT SELECT ON maildomain_controller.alembic_version, maildomain_controller.seal TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON maildomain_controller.pin TO :"role";
GRANT SELECT, INSERT, DELETE ON maildomain_controller.frozen TO :"role";
GRANT SELECT, INSERT ON maildomain_controller.journal TO :"role";
GRANT SELECT, INSERT, UPDATE ON
    maildomain_controller.known, maildomain_controller.fence, maildomain_controller.claim,
    maildomain_controller.hold, maildomain_controller.revocation_case TO :"role";
GRANT SELECT, INSERT, DELETE ON maildomain_controller.hold_access TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON maildomain_controller.access_ledger, maildomain_controller.hint TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON
    maildomain_controller.service_access, maildomain_controller.impersonation,
    maildomain_controller.service_domain TO :"role";

\if :{?serve_role}
    GRANT USAGE ON SCHEMA maildomain_controller TO :"serve_role";
    GRANT SELECT ON maildomain_controller.alembic_version TO :"serve_role";
    GRANT SELECT, INSERT, UPDATE, DELETE ON maildomain_controller.hint TO :"serve_role";
\endif
\if :prune
    GRANT DELETE ON maildomain_controller.journal TO :"role";
\endif

\if :{?review_role}
    GRANT USAGE ON SCHEMA :"app_schema", maildomain_controller TO :"review_role";
    SELECT format('GRANT SELECT (%s) ON %I.messages_user TO %I', string_agg(quote_ident(column_name), ', '), table_schema, :'review_role')
    FROM information_schema.columns
    WHERE table_schema = :'app_schema' AND table_name = 'messages_user'
      AND column_name IN ('id', 'email', 'is_active', 'is_superuser', 'updated_at')
    GROUP BY table_schema \gexec
    GRANT SELECT ON :"app_schema".messages_maildomain, :"app_schema".messages_maildomainaccess TO :"review_role";
    GRANT SELECT ON
        maildomain_controller.alembic_version, maildomain_controller.claim, maildomain_controller.frozen,
        maildomain_controller.fence, maildomain_controller.service_access, maildomain_controller.service_domain
        TO :"review_role";
    GRANT INSERT ON maildomain_controller.journal TO :"review_role";
    GRANT SELECT, INSERT, UPDATE, DELETE ON maildomain_controller.hint TO :"review_role";
\endif

\if :{?reader_role}
    GRANT USAGE ON SCHEMA maildomain_controller TO :"reader_role";
    GRANT SELECT ON maildomain_controller.effective_services, maildomain_controller.impersonation TO :"reader_role";
\endif

COMMIT;
