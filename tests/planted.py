"""Bugs to plant, each of which the tests must find (`make mutants`)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One planted bug."""

    title: str
    file: str
    old: str
    new: str
    by: str = ""
    """The integration test that finds it, where the unit tests can't."""


MUTANTS = (
    # --- taken back
    Mutant(
        "take back a migration that is not in the data",
        "lineage.py",
        '                now = _in(str(run.named("restoring")), taken, moments)\n',
        "                pass\n",
    ),
    Mutant(
        "take back one more, where one was taken back",
        "lineage.py",
        "        if self.taken_back is not None:\n            return self.taken_back\n",
        "",
    ),
    Mutant(
        "delete what a rollback would restore",
        "retention.py",
        '        found.setdefault(str(last.named("backup")), '
        'f"run {last.id} needs it: {_WAY_BACK}")\n',
        "        pass\n",
    ),
    Mutant(
        "forget which images ran with what a restore replaces",
        "restore.py",
        "look, last_good(fold(self.journal.entries())))\n",
        "look, {})\n",
    ),
    Mutant(
        "take a damaged header for one that a key opens",
        "age.py",
        "(NO_MATCH, *NO_HEADER)",
        "(NO_MATCH,)",
    ),
    # --- waited for
    Mutant(
        "take what is on its way to a store for none",
        "schedule.py",
        "        self._note()  # it is there: an upload of hours makes it no older\n",
        "",
    ),
    Mutant(
        "try the same that does not restore first, again and again",
        "proving.py",
        "        self.tried[manifest.backup.kind] = self.clock.monotonic()\n",
        "",
    ),
    Mutant(
        "take what can't be read here for what does not restore",
        "proving.py",
        "            self.closed.add(name)  # to find that out all of it is read: once\n",
        "            pass\n",
    ),
    Mutant(
        "say nothing of backups that no key here opens",
        "proving.py",
        'if names and names <= self.closed else ""',
        'if names and names < self.closed else ""',
    ),
    Mutant(
        "believe a proof of the future",
        "retention.py",
        " and p.at <= now + CLOCK]",
        "]",
    ),
    Mutant(
        "take a doubtful backup for a success, in the figures",
        "figures.py",
        " if not manifest.doubts]",
        "]",
    ),
    Mutant(
        "take a backup of the future for fresh as long as it is kept",
        "figures.py",
        "        return min(before.last_success, now)\n",
        "        pass\n",
    ),
    Mutant(
        "give no figures while the database is away",
        "schedule.py",
        "        self.figures.publish(shown)\n",
        "",
    ),
    Mutant(
        "tell of no attempt until it is at its end",
        "schedule.py",
        "        self.figures.begin(self.state)\n",
        "        self.figures.attempted = self.clock.now()\n",
    ),
    Mutant(
        "forget in the figures when a backup was tried before a restart",
        "figures.py",
        "(last_attempt, *times)",
        "(last_attempt,)",
    ),
    Mutant(
        "give no figure of what is wrong",
        "figures.py",
        "getattr(state, name, None) is not None for",
        "False for",
    ),
    Mutant(
        "count an emptied file as a backup that is fresh",
        "scheduling.py",
        " if self.store.size(m.backup.name) == m.size)",
        ")",
    ),
    Mutant(
        "tell nobody that a server came back without its data",
        "schedule.py",
        "        cause = self._cause() if subject == BACKUP else cause\n",
        "",
    ),
    Mutant(
        "delete on, whoever asks to stop",
        "aftermath.py",
        "            self.world.stop.check()  # thousands in a store take a while\n",
        "",
    ),
    Mutant(
        "delete what is of another database",
        "retention.py",
        "    ours = [m for m in manifests if m.database == database]\n",
        "    ours = list(manifests)\n",
    ),
    Mutant(
        "take what vanished before a migration for meant",
        "baseline.py",
        "(run.phase is Phase.COMMITTED and not doubted)",
        "run.phase is Phase.COMMITTED",
    ),
    Mutant(
        "fill a lost database from a doubtful backup",
        "source.py",
        "    _refuse_doubted(newest, older)\n",
        "",
    ),
    Mutant(
        "doubt nothing that is backed up before a migration",
        "preparation.py",
        "doubt=lambda _: doubts",
        "doubt=lambda _: ()",
    ),
    Mutant(
        "take what a lost database was filled with for chosen",
        "baseline.py",
        "run.phase is Phase.RESTORED and not run.refills",
        "run.phase is Phase.RESTORED",
    ),
    Mutant(
        "take a lease that was never ours for lost",
        "leaseholder.py",
        "            if not self.unknown:\n                raise\n",
        "            raise\n",
    ),
    Mutant(
        "put a proof off again and again",
        "schedule.py",
        " and not self.put_off\n",
        "\n",
    ),
    Mutant(
        "wait for a store without a word",
        "stores/retrying.py",
        "            before_sleep=self._told_once(began),\n",
        "",
    ),
    # --- handed over
    Mutant(
        "take over a migration that gives signs of life",
        "handing.py",
        "            if _changed(alive) != before:\n                return False\n",
        "",
    ),
    Mutant(
        "start over beside a migration that was quicker",
        "handing.py",
        "except FileExistsError:\n                return False\n",
        "except FileExistsError:\n                pass\n",
    ),
    Mutant(
        "start over where somebody was told to migrate",
        "plan.py",
        ' and "addresses" not in self.detail\n',
        "\n",
    ),
    Mutant(
        "take over what can't be seen before its deadline",
        "takeover.py",
        "    return world.database.now() < run.lease_until\n",
        "    return ended is False and world.database.now() < run.lease_until\n",
    ),
    Mutant(
        "believe who says 0 although the script has noted no end",
        "handing.py",
        "return None if self.told is None or cut_off else Exit(self.told)",
        "return None if self.told is None else Exit(self.told)",
    ),
    Mutant(
        "believe a file of an earlier run",
        "handing.py",
        "newer = bool(found) and _changed(file) > _changed(self._current)",
        "newer = bool(found)",
    ),
    Mutant(
        "leave an earlier run's name where a begin has failed",
        "handover.py",
        "            self.shared.withdraw()\n",
        "",
    ),
    Mutant(
        "say 0 when a conclude is asked again after a failure",
        "handover.py",
        "        if run.phase is Phase.COMMITTED:\n            return run\n        raise",
        "        if run.phase is not Phase.STRANDED:\n            return run\n        raise",
    ),
    Mutant(
        "roll back under a container that nobody can see",
        "takeover.py",
        "    return bool(mine.by or (theirs",
        "    return bool((theirs",
    ),
    Mutant(
        "leave the sessions of a migration alone that was handed over",
        "migration.py",
        '    return run.outside and session.title not in run.detail.get("others", ())\n',
        "    return False\n",
    ),
    Mutant(
        "leave out of the stores what was there before a restore",
        "restore.py",
        "filter(None, (self._saved, self._in_place))",
        "filter(None, (self._in_place,))",
    ),
    Mutant(
        "export over what is there",
        "by_hand.py",
        "    if place.taken(target.name):\n        raise",
        "    if place.taken(target.name) and not target.is_file():\n        raise",
    ),
    Mutant(
        "export so that Ctrl-C is not heard",
        "by_hand.py",
        "stoppable(chunks, ways.stop)",
        "chunks",
    ),
    Mutant(
        "load what was touched since it was checked",
        "vault.py",
        "return self._checked.get(name) == (self.store.stamp(name), manifest)",
        "return name in self._checked",
    ),
    Mutant(
        "load by a manifest that was put there since the check",
        "vault.py",
        "return self._checked.get(name) == (self.store.stamp(name), manifest)",
        "return self._checked.get(name, (0, 0))[0] == self.store.stamp(name)",
    ),
    Mutant(
        "verify without reading again",
        "vault.py",
        "        manifest = self._known(name)\n        self._check(manifest)\n",
        "        manifest = self._known(name)\n        if not self._was_checked(manifest):\n"
        "            self._check(manifest)\n",
    ),
    Mutant(
        "load so that rows lie in another order",
        "pgtools.py",
        '        "--single-transaction",\n        "--no-password",\n',
        '        "--no-password",\n',
        by="backups",
    ),
    # --- one instance at a time
    Mutant(
        "restore beside another instance",
        "restore.py",
        "            self._hold_backups(migrate=wanted.migrate)\n",
        "",
    ),
    Mutant(
        "find out after the swap that a store is silent",
        "restore.py",
        "self.world.lease.take() if migrate else hold_backups(self.world)",
        "hold_backups(self.world)",
    ),
    Mutant(
        "back up by hand beside another instance",
        "by_hand.py",
        "        return hold_backups(stack.world) is not None\n",
        "        return True\n",
    ),
    Mutant(
        "bring a backup of nobody knows whom to a store",
        "by_hand.py",
        "stack.copies.copy(manifest) if ours else (NOT_KNOWN,)",
        "stack.copies.copy(manifest)",
    ),
    Mutant(
        "copy what was restored while nobody knows whose the backups are",
        "restore.py",
        "        if self._lease is None:\n",
        "        if self._lease is self:\n",
    ),
    Mutant(
        "restore a file beside another instance",
        "restore_file.py",
        "            self._hold_backups(migrate=migrate)\n",
        "",
    ),
    Mutant(
        "keep the backups from others after a restore that failed on nothing",
        "restore.py",
        "            if self._lease and self._is_lost():\n",
        "            if not self._lease and self._is_lost():\n",
    ),
    Mutant(
        "let a silent store hide that another instance is there",
        "lease.py",
        "            except StoreFailed as error:\n                silent.append(error)\n",
        "            except ZeroDivisionError:\n                pass\n",
    ),
    Mutant(
        "leave what was put in place out of the stores",
        "restore.py",
        "filter(None, (self._saved, self._in_place))",
        "filter(None, (self._saved,))",
    ),
    Mutant(
        "tell nobody that old backups can't be deleted",
        "schedule.py",
        '            self._hold(f"not everything that is old is deleted: {error.message}")\n',
        "",
    ),
    Mutant(
        "prune what another instance may need",
        "pruning.py",
        "    stack.world.lease.check()",
        "    _ = stack.world.lease",
    ),
    Mutant(
        "renew a lease that another has taken",
        "lease.py",
        "if found is None or found.holder != self.holder:",
        "if found is None:",
    ),
    Mutant(
        "release a lease that another run has taken since",
        "lease.py",
        "(found.holder, found.token) == (self.holder, token)",
        "found.holder == self.holder",
    ),
    Mutant(
        "believe a claim without a look at the others",
        "stores/slots.py",
        "if any(_number(each) >= number for each in claims - {name}):",
        "if any(_number(each) > number for each in claims - {name}):",
    ),
    Mutant(
        "believe a claim that is not listed",
        "stores/slots.py",
        "        if name not in claims:\n",
        "        if False:\n",
    ),
    Mutant(
        "migrate although the lease was lost while the backup was made",
        "guard.py",
        "            self.world.lease.renew()\n",
        "",
    ),
    Mutant(
        "let the app start beside another instance",
        "guard.py",
        "            hold_backups(self.world)\n",
        "",
    ),
    Mutant(
        "keep the lease where nothing was filled",
        "refill.py",
        "            self._let_others()\n",
        "",
    ),
    Mutant(
        "let the lease run out between two backups",
        "schedule.py",
        "        self._keep()\n",
        "",
    ),
    Mutant(
        "let the lease run out between two uploads",
        "schedule.py",
        "            if self.lease.is_to_renew:\n",
        "            if False:\n",
    ),
    Mutant(
        "go on bringing backups to where another has the lease",
        "leaseholder.py",
        "        except StoreFailed as error:\n            self.failed(error)\n",
        "        except MigsafeError as error:\n            self.failed(error)\n",
    ),
    Mutant(
        "upload old backups for hours while a new one is due",
        "schedule.py",
        "self.around.copies().catch_up(has_time)",
        "self.around.copies().catch_up()",
    ),
    Mutant(
        "never bring what is older where the line is slow",
        "remotes.py",
        "ALWAYS_BROUGHT = 2\n",
        "ALWAYS_BROUGHT = 1\n",
    ),
    Mutant(
        "bring backups to a place that may be another's",
        "schedule.py",
        "(self.lease.unknown,) if self.lease.unknown else self._brought",
        "self._brought",
    ),
    Mutant(
        "skip in silence what another instance forbids",
        "schedule.py",
        "        except LeaseHeld as error:",
        "        except LeaseLost as error:",
    ),
    Mutant(
        "release the lease although somebody is connected",
        "schedule.py",
        " and not opened.world.database.sessions()",
        "",
    ),
    Mutant(
        "take a name in what rclone says for the words of a service",
        "stores/rclone_words.py",
        "    if _NETWORK.search(said):\n        return _out_of_reach(told)\n",
        "",
    ),
    Mutant(
        "take a folder named retention for what holds an object",
        "stores/rclone_words.py",
        r"(?<![\w./-])retention (?:policy|period|until)",
        "retention",
    ),
    Mutant(
        "hold the lease of the folder alone",
        "wiring.py",
        "    return (LocalSlot(settings.backups), *further)\n",
        "    return (LocalSlot(settings.backups),)\n",
    ),
    Mutant(
        "write over whatever generation a bucket's lease has",
        "stores/gcs_slot.py",
        "                    if_generation_match=int(generation or 0),  # 0: there is none\n",
        "",
        by="slots",
    ),
    Mutant(
        "take a lost answer of the bucket for another's lease",
        "stores/gcs_slot.py",
        "            if self.read()[0] != text:\n                raise Conflict from None",
        "            raise Conflict from None",
        by="slots",
    ),
    # --- the way back
    Mutant(
        "swap in a restore point without comparing it",
        "rollback.py",
        "        self._compare(run, before, name, Distrusted)\n",
        "",
    ),
    Mutant(
        "trust a restore point that was opened",
        "rollback.py",
        "if reason := self.database.untouched(name, oid):",
        "if reason := None:",
    ),
    Mutant(
        "swap in a loaded backup without counting its rows",
        "rollback.py",
        '        if differences:\n            raise RollbackFailed(f"the loaded',
        '        if differences is None:\n            raise RollbackFailed(f"the loaded',
    ),
    Mutant(
        "swap in a loaded backup without comparing its schema and properties",
        "rollback.py",
        "        self._compare(run, before, name, RollbackFailed)\n",
        "",
    ),
    Mutant(
        "swap without ending the sessions",
        "rollback.py",
        "            self._close(before)\n",
        "",
    ),
    Mutant(
        "load into what a killed run has left",
        "rollback.py",
        "        if self.database.exists(name):  # left",
        "        if False and self.database.exists(name):  # left",
    ),
    Mutant(
        "swap a second time after a crash",
        "rollback.py",
        "        if not run.swapped:\n            started",
        "        if True:\n            started",
    ),
    Mutant(
        "leave the database open when the rollback failed",
        "rollback.py",
        "            left = self.database.close()\n        except",
        "            left = ()\n        except",
    ),
    Mutant(
        "strand a rollback because the server did not answer once",
        "rollback.py",
        "        except (DatabaseUnavailable, EngineUnavailable, JournalDisagrees, Interrupted):\n",
        "        except (JournalDisagrees, Interrupted):\n",
    ),
    Mutant(
        "believe a swap that the server does not show",
        "rollback.py",
        "        self._agree(run)\n",
        "",
    ),
    Mutant(
        "clear up before the rollback",
        "guard.py",
        "        error = self.rollback.finish(",
        "        self._clear(run)\n        error = self.rollback.finish(",
    ),
    Mutant(
        "take every migration for one that wrote nothing",
        "migration.py",
        "        own = 1\n",
        "        own = 1 << 40\n",
    ),
    Mutant(
        "make the restore point open to connections",
        "properties.py",
        "ALLOW_CONNECTIONS false",
        "ALLOW_CONNECTIONS true",
    ),
    Mutant(
        "load a backup over template1",
        "properties.py",
        "TEMPLATE template0",
        "TEMPLATE template1",
    ),
    # --- the migration
    Mutant(
        "start the container before the intent is journalled",
        "migration.py",
        "        self.journal.append(run.id, Phase.MIGRATING, **self._others(run))\n",
        "",
    ),
    Mutant(
        "take a container that is missing for a success",
        "migration.py",
        "        if ended is None:\n            return Failure(",
        "        if ended is None:\n            return Exit(0)\n            return Failure(",
    ),
    Mutant(
        "leave the server's sessions of a killed migration alone",
        "migration.py",
        "        left = self.database.end_sessions(session.pid for session in mine)\n",
        "        left = mine[:0]\n",
    ),
    Mutant(
        "leave the container running at its deadline",
        "migration.py",
        "        self.engine.end_migration(run.id)\n",
        "",
    ),
    Mutant(
        "give an adopted container its whole deadline anew",
        "migration.py",
        "max(deadline - passed, 0.0)",
        "deadline",
    ),
    Mutant(
        "remove the container when it ends",
        "oneoff.py",
        '"AutoRemove": False',
        '"AutoRemove": True',
    ),
    Mutant(
        "let the one-off be restarted",
        "oneoff.py",
        '"RestartPolicy": {"Name": "no"}',
        '"RestartPolicy": {"Name": "always"}',
    ),
    Mutant(
        "publish the app's ports by the one-off",
        "oneoff.py",
        '        "PortBindings": {},\n',
        "",
    ),
    # --- the proof
    Mutant(
        "believe exit code 0",
        "migration.py",
        "        if complaints:\n",
        "        if not complaints and complaints:\n",
    ),
    Mutant(
        "overlook a child that was killed for its memory",
        "facts.py",
        "self.code == 0 and not self.out_of_memory and not self.error",
        "self.code == 0 and not self.error",
    ),
    Mutant(
        "overlook lost rows",
        "proof.py",
        "        if complaint := _loss(table, now, policy.percent):\n",
        "        if complaint := _loss(table, table, policy.percent):\n",
    ),
    Mutant(
        "overlook a dirty ledger after migrating",
        "proof.py",
        "        *_clean(after.ledger),\n",
        "",
    ),
    Mutant(
        "overlook new invalid indexes",
        "proof.py",
        "        *_indexes(before, after),\n",
        "",
    ),
    Mutant(
        "migrate although a dirty ledger was found",
        "gate.py",
        "    _refuse_dirty(found)\n",
        "",
    ),
    # --- what follows from the journal
    Mutant(
        "trust a backup from before a crash",
        "plan.py",
        "        case Phase.CLONING | Phase.CLONED:\n            return StartOver(last)\n",
        "        case Phase.CLONING | Phase.CLONED:\n            return Conclude(last)\n",
    ),
    Mutant(
        "roll a good migration back after a crash",
        "plan.py",
        "        case Phase.MIGRATING | Phase.EXITED:\n            return Conclude(last)\n",
        "        case Phase.MIGRATING | Phase.EXITED:\n            return RollBack(last)\n",
    ),
    Mutant(
        "forget after a crash that a migration had failed",
        "plan.py",
        "        case Phase.FAILED | Phase.LOADING | Phase.SWAPPED:\n",
        "        case Phase.FAILED | Phase.LOADING | Phase.SWAPPED if not entries:\n",
    ),
    Mutant(
        "go on by itself after a rollback that failed",
        "plan.py",
        "return RollBack(last) if last.retried else Report(last)",
        "return StartOver(last)",
    ),
    Mutant(
        "forget that the end of a migration was noted",
        "plan.py",
        "        exited=run.exited or entry.phase is Phase.EXITED,\n",
        "        exited=entry.phase is Phase.EXITED,\n",
    ),
    Mutant(
        "say that nothing was changed in the middle of a run",
        "guard.py",
        "    except NothingChangedError as error:\n        raise RollbackPending(",
        "    except ZeroDivisionError as error:\n        raise RollbackPending(",
    ),
    Mutant(
        "let a killed run's failure pass although the image is the same",
        "guard.py",
        "            if run.key.image == app.image:\n                raise\n",
        "",
    ),
    # --- before the migration
    Mutant(
        "try a known-bad image again and again",
        "gate.py",
        "    _refuse_known_bad(found)\n",
        "",
    ),
    Mutant(
        "migrate an empty database although there are backups",
        "gate.py",
        "    _refuse_lost(found, backups, initialise=initialise)\n",
        "",
    ),
    Mutant(
        "run an image that is older than the data",
        "gate.py",
        "    _refuse_ahead(found)\n",
        "",
    ),
    Mutant(
        "take backups of another database into the same folder",
        "gate.py",
        "    _refuse_foreign(found, backups, loaded_from)\n",
        "",
    ),
    Mutant(
        "back up before the services are stopped",
        "preparation.py",
        "        self.stop_users(self.run_id)\n        strangers = self._strangers()\n"
        "        self._back_up(found)\n",
        "        self._back_up(found)\n        self.stop_users(self.run_id)\n"
        "        strangers = self._strangers()\n",
    ),
    Mutant(
        "stop nobody",
        "preparation.py",
        "            self.engine.stop(users)\n",
        "",
    ),
    Mutant(
        "stop services before it is journalled",
        "preparation.py",
        "            if held or users:\n",
        "            if held:\n",
    ),
    Mutant(
        "take no backup",
        "preparation.py",
        "        self._back_up(found)\n",
        "",
    ),
    Mutant(
        "start nothing again after a success",
        "guard.py",
        "        self.aftermath.start_again(run)\n        self.aftermath.clear(run)\n"
        "        self._copy(run)\n        self.aftermath.tidy(",
        "        self.aftermath.clear(run)\n        self._copy(run)\n        self.aftermath.tidy(",
    ),
    Mutant(
        "start nothing again after a run that was cut off",
        "aftermath.py",
        "        if (run.resumes or not run.failed) and not held:\n"
        "            self.start_again(run)\n",
        "",
    ),
    Mutant(
        "leave restore points behind",
        "aftermath.py",
        "                self.database.drop(name)\n",
        "                pass\n",
    ),
    Mutant(
        "let a second run in",
        "guard.py",
        "        with self.journal.hold(self.run_id, self.policy.wait.total_seconds()):\n",
        "        if True:\n",
    ),
    # --- backups
    Mutant(
        "write the manifest before the backup has its name",
        "vault.py",
        "        self.store.publish(backup.name)\n",
        "        self.store.put(backup.manifest_name, manifest.to_json())\n"
        "        self.store.publish(backup.name)\n",
    ),
    Mutant(
        "load a backup without holding it to its manifest",
        "vault.py",
        "        self._hold(manifest, streams.Hashed(self.store.read(name)).drain())\n",
        "",
    ),
    Mutant(
        "keep a dump that was cut off",
        "streams.py",
        "pgtools.END_OF_DUMP not in end",
        "not end",
    ),
    Mutant(
        "leave half a backup behind",
        "vault.py",
        "            self.store.discard(backup.name)\n",
        "            pass\n",
    ),
    Mutant(
        "delete the backup before its manifest",
        "vault.py",
        "        self.store.remove(name + MANIFEST_SUFFIX)\n",
        "        self.store.remove(name)\n        self.store.remove(name + MANIFEST_SUFFIX)\n",
    ),
    Mutant(
        "overwrite a backup",
        "stores/local.py",
        "        if self.taken(target.name):\n",
        "        if False:\n",
    ),
    Mutant(
        "name a backup that is not on the disk yet",
        "stores/local.py",
        "                os.fsync(file.fileno())\n",
        "",
    ),
    Mutant(
        "forget to bring the folder to the disk",
        "stores/local.py",
        "        os.fsync(descriptor)\n",
        "        pass\n",
    ),
    Mutant(
        "follow a link in the folder of backups",
        "stores/local.py",
        "flags | os.O_NOFOLLOW | os.O_CLOEXEC",
        "flags | os.O_CLOEXEC",
    ),
    Mutant(
        "let everybody read the backups",
        "stores/local.py",
        "MODE = 0o600",
        "MODE = 0o644",
    ),
    Mutant(
        "take a manifest for another backup's",
        "backups.py",
        'if values["backup"] != name:',
        'if values["backup"] is None:',
    ),
    Mutant(
        "take half an archive for a whole one",
        "archive.py",
        "    if not decompressor.eof:\n        raise",
        "    if False:\n        raise",
    ),
    Mutant(
        "hold a hundred megabytes of a dump at once",
        "archive.py",
        "JOB_SIZE = 1 << 20",
        "JOB_SIZE = 1 << 23",
    ),
    Mutant(
        "write archives without a checksum",
        "archive.py",
        "parameter.checksum_flag: 1",
        "parameter.checksum_flag: 0",
    ),
    Mutant(
        "delete the newest backup when it is old",
        "retention.py",
        "for kind in Kind for name in _newest(ours, kind, damaged)",
        "for kind in () for name in _newest(ours, kind, damaged)",
    ),
    Mutant(
        "delete the way back from the running version",
        "retention.py",
        "    reasons |= dict(pinned)\n",
        "    reasons |= {}\n",
    ),
    Mutant(
        "delete backups of every kind",
        "retention.py",
        "if backup.kind not in goes:",
        "if backup.kind not in Kind:",
    ),
    Mutant(
        "let doubtful backups stand for their time",
        "retention.py",
        "backup.name not in damaged and not manifest.doubts",
        "backup.name not in damaged",
    ),
    Mutant(
        "delete although the newest backup is doubtful",
        "retention.py",
        "    if newest.doubts:\n",
        "    if newest.doubts and not newest.size:\n",
    ),
    Mutant(
        "prefer a newer backup to a proven one",
        "retention.py",
        "in (*proven, *ordered):",
        "in (*ordered, *proven):",
    ),
    Mutant(
        "back another server up as if it were the same",
        "scheduled.py",
        "or newest.is_of(look.database, look.born, here):",
        "or here:",
    ),
    Mutant(
        "leave half a scheduled backup of a service that was killed",
        "schedule.py",
        "filter(None, (self.state.taking, *self.state.deleting))",
        "filter(None, self.state.deleting)",
    ),
    Mutant(
        "compare with a backup from before the last migration",
        "baseline.py",
        "(meant is None or m.backup.taken_at > meant)",
        "(meant is None or m.backup.taken_at != meant)",
    ),
    Mutant(
        "delete while a store is behind",
        "schedule.py",
        "        if self.state.stores is not None:\n",
        "        if self.state is None:\n",
    ),
    Mutant(
        "drop the restore point that was to stay",
        "aftermath.py",
        "point = None if run.kept_point else",
        "point =",
    ),
    Mutant(
        "keep every restore point",
        "aftermath.py",
        "self.drop_points(each for each in runs if each.id != run.id)",
        "pass",
    ),
    Mutant(
        "let a dump of others go on after rows that are cut off",
        "sqlscript.py",
        """raise self._damaged(f"it ends in the middle of the rows that begin on line {line}")""",
        "return",
    ),
    Mutant(
        "take a dump without its end",
        "dumpfile.py",
        "if pgtools.END_OF_DUMP not in tail:",
        "if not tail:",
    ),
    # --- programs, names, words
    Mutant(
        "go on after an error in a plain dump",
        "pgtools.py",
        '            "--set=ON_ERROR_STOP=1",\n',
        "",
    ),
    Mutant(
        "load half of an archive",
        "pgtools.py",
        '        "--exit-on-error",\n',
        "",
    ),
    Mutant(
        "take a program that failed for one that did not",
        "process.py",
        "    if code != 0:\n",
        "    if code < 0:\n",
    ),
    Mutant(
        "give names that the server cuts off",
        "facts.py",
        "IDENTIFIER_BYTES = 63",
        "IDENTIFIER_BYTES = 64",
    ),
    Mutant(
        "keep a secret of the migration's output in the journal",
        "migration.py",
        "tail=[self.tell.redact(line) for line in ended.tail]",
        "tail=list(ended.tail)",
    ),
    Mutant(
        "print secrets",
        "log.py",
        "            text = text.replace(secret, _MASK)\n",
        "            pass\n",
    ),
    # --- who has lost the lock
    Mutant(
        "start a migration without asking whether the lock is still held",
        "migration.py",
        "        self.engine.make_migration(run.id, command)\n",
        "        self.engine.make_migration(run.id, command)\n"
        "        self.engine.start_migration(run.id)\n",
    ),
    Mutant(
        "leave a container behind that may not be started",
        "migration.py",
        "            self.engine.end_migration(run.id)\n            raise\n",
        "            raise\n",
    ),
    Mutant(
        "use a name again that was discarded",
        "vault.py",
        "        names += self.discarded\n",
        "",
    ),
    Mutant(
        "take the lock in the app's own database",
        "journal.py",
        "connect(conninfo, CONTROL)\n    except DatabaseMissing:\n        _create",
        "connect(conninfo, database)\n    except DatabaseMissing:\n        _create",
        by="journal",
    ),
    Mutant(
        "have one lock for all databases",
        "journal.py",
        "hashlib.sha256(self.database.encode())",
        "hashlib.sha256(b'')",
        by="journal",
    ),
    Mutant(
        "give the lock back before the work",
        "journal.py",
        '            failpoint("lock.taken")\n',
        '            self.connection.execute("SELECT pg_advisory_unlock(%s)", (self._lock_key,))\n',
        by="journal",
    ),
    Mutant(
        "read the journal of every database",
        "journal.py",
        "WHERE database = %s",
        "WHERE database <> %s || '!'",
        by="journal",
    ),
    # --- the swap, the fence
    Mutant(
        "swap name by name, in no transaction",
        "postgres.py",
        "whole = self.control.connection.transaction()",
        "whole = suppress()",
        by="contracts",
    ),
    Mutant(
        "close a database to who comes, and leave who is there",
        "postgres.py",
        "        return self._end(lambda _: True)\n",
        "        return ()\n",
        by="contracts",
    ),
    Mutant(
        "drop any database",
        "postgres.py",
        "        if not _OURS.search(name):\n",
        "        if not name:\n",
        by="contracts",
    ),
    Mutant(
        "leave the fence in place after a rollback",
        "rollback.py",
        "self.database.swap(scratch, kept, run.id, before.properties.allow_connections)",
        "self.database.swap(scratch, kept, run.id, False)",
    ),
    Mutant(
        "say that a database is closed which is not",
        "rollback.py",
        '            "open": not self._closed(),\n',
        '            "open": not (self._closed() or True),\n',
    ),
    Mutant(
        "say that a database is closed which somebody is still in",
        "rollback.py",
        "        return not left\n",
        "        return True\n",
    ),
    Mutant(
        "load a backup under the name of the restore point",
        "rollback.py",
        '        name = scratch_name(before.database, run.id, "load")\n',
        "        name = scratch_name(before.database, run.id)\n",
    ),
    Mutant(
        "keep what a migration did beyond its database to ourselves",
        "rollback.py",
        "        if not before.properties.allow_connections:\n            return []\n",
        "        if before.properties.allow_connections:\n            return []\n",
    ),
    # --- one-offs
    Mutant(
        "run what the app serves instead of its migration",
        "oneoff.py",
        '"Cmd": list(command)',
        '"Cmd": config.get("Cmd")',
    ),
    Mutant(
        "migrate with what the tag means now",
        "oneoff.py",
        '"Image": template["Image"]',
        '"Image": config["Image"]',
    ),
    Mutant(
        "let a migration wait for an answer that nobody gives",
        "oneoff.py",
        '"OpenStdin": False',
        '"OpenStdin": True',
    ),
    Mutant(
        "leave a migration's sessions without a name",
        "oneoff.py",
        '            f"PGAPPNAME={application}",\n',
        "",
    ),
    Mutant(
        "take a one-off for the app",
        "oneoff.py",
        'ONEOFF: "True"',
        'ONEOFF: "False"',
    ),
    Mutant(
        "not look whether the kernel killed something in a container",
        "oneoffs.py",
        'out_of_memory=bool(state.get("OOMKilled"))',
        "out_of_memory=False",
        by="one_offs",
    ),
    Mutant(
        "take a container that never ran for one that succeeded",
        "oneoffs.py",
        "        if self._never_started(name):\n            return None\n",
        "",
        by="one_offs",
    ),
    Mutant(
        "forget that a container did not start",
        "oneoffs.py",
        "                self._unstarted[run] = _not_started(error)\n",
        "                _not_started(error)\n",
        by="one_offs",
    ),
    Mutant(
        "leave a leftover container running",
        "oneoffs.py",
        "                self.client.stop(name, timeout=10)\n",
        "                pass\n",
        by="one_offs",
    ),
    Mutant(
        "forget the addresses of a container that has ended",
        "oneoffs.py",
        "self._seen.get(run, frozenset()) | now",
        "now",
        by="one_offs",
    ),
    Mutant(
        "fail because a service that was removed can't be started",
        "docker_acts.py",
        "        with suppress(NotThere), translated():\n            # one that was made since",
        "        with translated():\n            # one that was made since",
        by="one_offs",
    ),
    # --- what a power cut, a disk or a hand may do to backups
    Mutant(
        "name a backup without bringing its name to the disk",
        "stores/local.py",
        '        failpoint("store.renamed", _full)\n        self._sync()\n',
        '        failpoint("store.renamed", _full)\n',
    ),
    Mutant(
        "put a manifest without bringing its name to the disk",
        "stores/local.py",
        '            failpoint("store.put", _full)\n            self._sync()\n',
        '            failpoint("store.put", _full)\n',
    ),
    Mutant(
        "delete without bringing it to the disk",
        "stores/local.py",
        "            (self.folder / name).unlink(missing_ok=True)\n            self._sync()\n",
        "            (self.folder / name).unlink(missing_ok=True)\n",
    ),
    Mutant(
        "clear what is torn without bringing it to the disk",
        "stores/local.py",
        "            if found:\n                self._sync()\n",
        "",
    ),
    Mutant(
        "be kept from writing by a probe that came back",
        "stores/local.py",
        "            probe.unlink(missing_ok=True)  # left by a run that was killed\n",
        "",
    ),
    Mutant(
        "leave what killed runs have left of backups",
        "aftermath.py",
        "            self.world.vault.discard(backup)\n",
        "            pass\n",
    ),
    Mutant(
        "leave a backup half deleted",
        "aftermath.py",
        "            vault.discard(name)\n",
        "            pass\n",
    ),
    Mutant(
        "finish deleting what is pinned",
        "retention.py",
        "not in {*whole, *pinned}",
        "not in whole",
    ),
    Mutant(
        "believe a manifest that was edited",
        "backups.py",
        'if values.pop("checksum") != fingerprint(values):',
        'if values.pop("checksum") is None:',
    ),
    Mutant(
        "load whatever backup has the right name",
        "rollback.py",
        "if taken is not None and taken != manifest.checksum:",
        "if taken is not None and not manifest.checksum:",
    ),
    Mutant(
        "trust that a file stays what it was while it is loaded",
        "vault.py",
        "raw = self._held(manifest)",
        "raw = self.store.read(name)",
    ),
    Mutant(
        "take the right size for the right content",
        "backups.py",
        "if sha256 != self.sha256:",
        "if not sha256:",
    ),
    Mutant(
        "count backups whose file is gone",
        "manifests.py",
        "if payload == name or payload not in names:",
        "if payload == name:",
    ),
    Mutant(
        "verify a backup by reading it only",
        "verify.py",
        "complaints = self._read(manifest) if quick else self._load(manifest)",
        "complaints = self._read(manifest)",
    ),
    Mutant(
        "see nothing to do because the tag is the same",
        "guard.py",
        "return Key(app.image, ",
        "return Key(app.image_name, ",
    ),
    # --- programs and addresses
    Mutant(
        "load an archive over what is there",
        "pgtools.py",
        '        "--exit-on-error",\n',
        '        "--exit-on-error",\n        "--clean",\n        "--if-exists",\n',
    ),
    Mutant(
        "load a plain dump piece by piece",
        "pgtools.py",
        '            "--single-transaction",\n            "--file=-",\n',
        '            "--file=-",\n',
    ),
    Mutant(
        "dump another moment than the one that is counted",
        "pgtools.py",
        '        f"--snapshot={snapshot}",\n',
        "",
    ),
    Mutant(
        "wait for ever for a table that is locked",
        "pgtools.py",
        '        f"--lock-wait-timeout={LOCK_WAIT}",\n',
        "",
    ),
    Mutant(
        "guard another database than the app migrates",
        "wiring.py",
        "if isinstance(theirs, Address) and theirs.database != mine.database:",
        "if theirs is None and not mine.database:",
    ),
    Mutant(
        "print the password of the address",
        "wiring.py",
        "    yield from address.secrets()\n    for name, value in app",
        "    for name, value in app",
    ),
    Mutant(
        "print the app's other secrets",
        "masking.py",
        "_SECRET_NAME.search(name)",
        "_SECRET_NAME.fullmatch(name)",
    ),
    # --- who may start what was stopped
    Mutant(
        "start what was stopped although the lock was taken over",
        "guard.py",
        "            if self.journal.regain(self.run_id):\n",
        "            if self.journal.regain(self.run_id) or True:\n",
    ),
    Mutant(
        "leave what was stopped although nobody has taken over",
        "guard.py",
        "            if self.journal.regain(self.run_id):\n",
        "            if not self.run_id:\n",
    ),
    Mutant(
        "start what was stopped without asking in the session of the lock",
        "aftermath.py",
        "        self.journal.entries()\n        return self.engine",
        "        return self.engine",
    ),
    Mutant(
        "take a lock again that somebody has held since",
        "journal.py",
        "            return self.entries()[-1].run == run\n",
        "            return True\n",
        by="contracts",
    ),
    Mutant(
        "leave stopped what was to go on, once a guard that had rolled back was killed",
        "aftermath.py",
        "if (run.resumes or not run.failed) and",
        "if not run.failed and",
    ),
    Mutant(
        "tell whose a folder is by its oldest backup",
        "gate.py",
        "    newest = newest_first(backups)[0]\n",
        "    newest = newest_first(backups)[-1]\n",
    ),
    Mutant(
        "say that nothing was changed when the server is lost at a restore's swap",
        "placing.py",
        "        self._swapping = True\n",
        "",
    ),
    Mutant(
        "take a closed database for a lost one",
        "restore.py",
        "            return True\n        except DatabaseUnavailable:\n            return False\n",
        "            return True\n        except DatabaseUnavailable:\n            return True\n",
    ),
    Mutant(
        "take a database with fewer rows for the backup that was loaded",
        "guard.py",
        "        if proof.same_rows(theirs, mine):\n            return False\n",
        "",
    ),
    Mutant(
        "take another database of the same schema for the one that was loaded",
        "guard.py",
        "if backup.database != self.database.look().database or mine.catalog",
        "if backup.database != self.database.look().database and mine.catalog",
    ),
    Mutant(
        "go on from an undone swap while the copy is still there",
        "guard.py",
        "copy is not None and original and not self.database.exists(copy)",
        "copy is not None and original",
    ),
    Mutant(
        "forget what the ledger held at a commit",
        "guard.py",
        "            versions_after=list(ended.ledger.versions),\n",
        "",
    ),
    Mutant(
        "name no database that an earlier run has kept",
        "guard.py",
        "        if kept:\n",
        "        if not found:\n",
    ),
    # --- copies
    Mutant(
        "delete here what is not there yet",
        "aftermath.py",
        "        if (going or torn) and (behind := copies.behind(staying)):\n",
        "        if (going or torn) and (behind := copies.behind([])):\n",
    ),
    Mutant(
        "migrate although the copy that is required failed",
        "preparation.py",
        "if self.world.copies.required and (missing := self.world.copies.copy(manifest)):",
        "if not self.world.copies.required and (missing := ()):",
    ),
    Mutant(
        "copy what is damaged here",
        "remotes.py",
        "        if manifest.differs(hashed.written.size, hashed.written.sha256):\n",
        "        if not hashed.written.sha256:\n",
    ),
    Mutant(
        "name what was fetched without comparing it",
        "remotes.py",
        "            if manifest.differs(written.size, written.sha256):\n",
        "            if written.size != manifest.size:\n",
    ),
    Mutant(
        "delete in a store what has no manifest of ours",
        "remotes.py",
        "        elif name not in self._half_deleted(Seen(store, store.listing())):\n",
        "        elif name not in store.listing():\n",
    ),
    Mutant(
        "take a store that can't be listed for an empty one",
        "remotes.py",
        "return tuple(Seen(store, _named(store, store.listing)) for store in self.stores)",
        "return tuple(Seen(s, {}) for s in self.stores if s.listing)",
    ),
    Mutant(
        "try again what will not pass",
        "stores/retrying.py",
        "isinstance(error, StoreFailed) and error.passing",
        "isinstance(error, StoreFailed)",
    ),
    Mutant(
        "begin a download that was cut anew, after what has been given",
        "stores/retrying.py",
        "            return _begun(rest)\n        except StoreFailed as error:\n"
        "            if not error.passing:\n                raise\n"
        "        return self._patiently(lambda: _begun(self.store.read(name, done)))\n",
        "            return _begun(rest)\n        except StoreFailed as error:\n"
        "            if not error.passing:\n                raise\n"
        "        return self._patiently(lambda: _begun(self.store.read(name)))\n",
    ),
    Mutant(
        "end in a store the deletion of a file that is another",
        "remotes.py",
        "            and seen.sizes.get(name, noted.size) == noted.size\n",
        "",
    ),
    Mutant(
        "forget a deletion in a store before it is at its end",
        "remotes.py",
        '        store.remove(name)\n        failpoint("uncopy.gone")\n'
        "        store.remove(name + DELETING_SUFFIX)\n",
        '        store.remove(name + DELETING_SUFFIX)\n        failpoint("uncopy.gone")\n'
        "        store.remove(name)\n",
    ),
    Mutant(
        "take a whole backup in a store for half a deletion",
        "remotes.py",
        "for name in ours if name + MANIFEST_SUFFIX not in self.sizes)",
        "for name in ours)",
    ),
    Mutant(
        "put another backup of the name in the place of what is damaged",
        "remotes.py",
        "        if Manifest.from_json(store.text(name + MANIFEST_SUFFIX), name) != manifest:\n",
        "        if Manifest.from_json(store.text(name + MANIFEST_SUFFIX), name) is None:\n",
    ),
    Mutant(
        "throw away what is damaged",
        "stores/local.py",
        "(self.folder / name).rename(self.folder / (name + DAMAGED_SUFFIX))",
        "(self.folder / name).unlink()",
    ),
    Mutant(
        "strand a rollback because a signal ended its download",
        "rollback.py",
        "        except (DatabaseUnavailable, EngineUnavailable, JournalDisagrees, Interrupted):\n",
        "        except (DatabaseUnavailable, EngineUnavailable, JournalDisagrees):\n",
    ),
    Mutant(
        "miss what we were killed at while we deleted it",
        "aftermath.py",
        "remember(found.without({backup.name for backup in going}))",
        "remember(found)",
    ),
    Mutant(
        "delete after a migration although backups are missing",
        "aftermath.py",
        "if why := self.held(manifests, found):",
        "if why := self.held(manifests, found, accept_missing=True):",
    ),
    Mutant(
        "drop kept databases although nothing may be deleted",
        "aftermath.py",
        """        if why := self.held(manifests, found):
            self.tell.warn(f"nothing is deleted: {why}")
            return
        until = found.looks.until or self.world.clock.now()
        for old in retention.old_kept(runs, keep, until):
            self.database.forget(str(old.named("kept")))
            self.journal.append(old.id, Phase.FORGOTTEN)
""",
        """        until = found.looks.until or self.world.clock.now()
        for old in retention.old_kept(runs, keep, until):
            self.database.forget(str(old.named("kept")))
            self.journal.append(old.id, Phase.FORGOTTEN)
        if why := self.held(manifests, found):
            self.tell.warn(f"nothing is deleted: {why}")
            return
""",
    ),
    Mutant(
        "believe a clock that has jumped ahead, after a migration",
        "aftermath.py",
        "        until = found.looks.until or self.world.clock.now()\n",
        "        until = self.world.clock.now()\n",
    ),
    Mutant(
        "believe a clock that has jumped ahead, when it is due",
        "scheduled.py",
        "        until = found.looks.until or self.world.clock.now()\n",
        "        until = self.world.clock.now()\n",
    ),
    Mutant(
        "never believe a clock again that has gone on by much",
        "inventory.py",
        "        return Looks(now, now, min(self.last, now))",
        "        return Looks(now, now, self.before)",
    ),
    Mutant(
        "delete by a clock that has only just jumped back",
        "inventory.py",
        "min(self.last, now))",
        "self.last)",
    ),
    Mutant(
        "say that prune has done what it has not",
        "pruning.py",
        "        done = not arguments.dry_run and not why",
        "        done = not arguments.dry_run",
    ),
    Mutant(
        "take a run that could not begin for the end of one that needs an operator",
        "ending.py",
        "        if code in ended:\n",
        "        if True:\n",
    ),
    Mutant(
        "delete when it is due although backups are missing",
        "scheduled.py",
        "        held = self.aftermath.held(manifests, found)\n",
        "        held = self.aftermath.held(manifests, found, accept_missing=True)\n",
    ),
    Mutant(
        "delete by hand although backups are missing",
        "pruning.py",
        "accept_missing=accept)",
        "accept_missing=True)",
    ),
    Mutant(
        "remember nothing of the stores",
        "vault.py",
        "        there = {} if self.copies is None else self.copies.whole()\n",
        "        there: dict[str, frozenset[str]] = {}\n",
    ),
    Mutant(
        "take a bucket that is not there for an empty store",
        "stores/rclone.py",
        '            if self._features["BucketBased"]:',
        "            if not self._features:",
        "rclone",
    ),
    # --- encryption
    Mutant(
        "take half of what was encrypted for all of it",
        "age.py",
        "    if measured.payload != _sealed_size(counted.size):\n",
        "    if measured.payload > _sealed_size(counted.size):\n",
    ),
    Mutant(
        "leave the secrets of apps in a manifest",
        "keys.py",
        "        return hidden, Encryption(self._ids(), sealed)\n",
        "        return properties, Encryption(self._ids(), sealed)\n",
    ),
    Mutant(
        "call somebody else's key fitting",
        "keys.py",
        "    except KeyMissing:\n        return False\n",
        "    except KeyMissing:\n        return True\n",
    ),
    Mutant(
        "take a damaged header for somebody else's",
        "vault.py",
        "self.check(name)  # a damaged header looks as if it were",
        "# a damaged header looks as if it were",
    ),
    Mutant(
        "hand pg_restore what is encrypted still",
        "dumpfile.py",
        "self._written_out(raw if packed or encrypted else None)",
        "self._written_out(raw if packed else None)",
    ),
)
