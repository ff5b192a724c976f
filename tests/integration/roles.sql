-- Roles of the zoo; the whole server has them, so they are made once. Who may log in gets a
-- password from the test.
CREATE ROLE zoo_owner CREATEDB;
CREATE ROLE zoo_reader;
CREATE ROLE zoo_writer;
CREATE ROLE zoo_keeper;
CREATE ROLE "Zoo ""Odd"" Rôle";
GRANT zoo_reader TO zoo_writer;
GRANT zoo_reader TO "Zoo ""Odd"" Rôle" WITH ADMIN OPTION;
