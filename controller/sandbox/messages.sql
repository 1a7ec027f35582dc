-- The mail application's tables on SQLite, in the shape that Django gives them. No column has a database default.
CREATE TABLE messages_user (
    id char(32) NOT NULL PRIMARY KEY,
    created_at datetime NOT NULL,
    updated_at datetime NOT NULL,
    password varchar(128) NOT NULL,
    last_login datetime,
    is_superuser bool NOT NULL,
    is_staff bool NOT NULL,
    is_active bool NOT NULL,
    sub varchar(255) UNIQUE,
    full_name varchar(255),
    email varchar(254),
    admin_email varchar(254) UNIQUE,
    language varchar(10) NOT NULL,
    timezone varchar(63) NOT NULL,
    custom_attributes text NOT NULL CHECK (json_valid(custom_attributes)),
    oidc_claims text NOT NULL CHECK (json_valid(oidc_claims))
);

CREATE TABLE messages_maildomain (
    id char(32) NOT NULL PRIMARY KEY,
    created_at datetime NOT NULL,
    updated_at datetime NOT NULL,
    name varchar(253) NOT NULL UNIQUE,
    alias_of_id char(32) REFERENCES messages_maildomain (id) DEFERRABLE INITIALLY DEFERRED,
    oidc_autojoin bool NOT NULL,
    identity_sync bool NOT NULL,
    custom_settings text NOT NULL CHECK (json_valid(custom_settings)),
    custom_attributes text NOT NULL CHECK (json_valid(custom_attributes))
);

CREATE TABLE messages_maildomainaccess (
    id char(32) NOT NULL PRIMARY KEY,
    created_at datetime NOT NULL,
    updated_at datetime NOT NULL,
    role smallint NOT NULL,
    maildomain_id char(32) NOT NULL REFERENCES messages_maildomain (id) DEFERRABLE INITIALLY DEFERRED,
    user_id char(32) NOT NULL REFERENCES messages_user (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT messages_maildomainaccess_maildomain_id_user_id_uniq UNIQUE (maildomain_id, user_id)
);

CREATE INDEX messages_maildomain_alias_of_id ON messages_maildomain (alias_of_id);
CREATE INDEX messages_maildomainaccess_maildomain_id ON messages_maildomainaccess (maildomain_id);
CREATE INDEX messages_maildomainaccess_user_id ON messages_maildomainaccess (user_id);
