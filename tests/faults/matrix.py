"""Rows of the fault matrix that tests elsewhere inject, run as a campaign of its own so that none of them goes without a run.

    python -m tests.faults.matrix                    # all of them
    python -m tests.faults.matrix S3_FRAMING         # those of one row

A row counts as hit by each of its tests that passed; one of whose tests none was run, or one was not found, fails.
"""

import argparse
import sys
from collections import Counter, defaultdict

import pytest

from tests.faults.reach import Reach, Row

# row: {file: tests in it}
TESTS = {
    Row.WEBHOOKS: {
        "tests/web/test_webhooks.py": ["test_a_thousand_replays_have_one_effect"],
        "tests/web/test_webhooks_followed.py": ["test_the_end_is_the_same_with_webhooks_and_without"],
    },
    Row.S3_COMPLETE: {
        "tests/storage/test_lost_answers.py": ["test_a_completion_whose_answer_is_lost_is_found_by_its_token_too"],
        "tests/storage/test_s3_wire.py": [
            "test_a_success_is_believed_only_where_it_is_s3s_own",
            "test_a_completion_answered_with_nothing_is_no_success",
        ],
        "tests/storage/test_s3_errors.py": ["test_each_refusal_has_its_error_by_either_way"],
        "tests/storage/test_contract.py": [
            "test_completing_twice_never_makes_a_second_object",
            "test_completion_does_not_replace_what_was_put_in_the_meantime",
        ],
    },
    Row.S3_WRONG_BUCKET: {
        "tests/storage/test_s3_wire.py": [
            "test_a_bucket_elsewhere_is_refused_with_its_region_and_nobody_follows",
            "test_every_operation_names_the_owner_it_expects",
        ],
        "tests/storage/test_probe.py": ["test_a_probe_that_cannot_be_made_says_why"],
    },
    Row.S3_LOCK_REFUSED: {
        "tests/retention/test_locked_at_birth.py": [
            "test_an_endpoint_that_ignores_lock_headers_gets_nothing_stored",
            "test_one_that_goes_on_ignoring_them_is_parked_for_an_operator",
        ],
        "tests/retention/test_canary.py": ["test_locks_that_are_shown_and_not_enforced_are_found_out"],
        "tests/storage/test_probe.py": ["test_a_lock_that_is_shown_but_not_held_is_no_lock"],
    },
    Row.S3_CHECKSUM: {
        "tests/pipeline/test_verify.py": [
            "test_a_flipped_bit_at_rest_is_damage_wherever_bytes_are_read",
            "test_one_flip_on_the_way_back_is_read_again_and_condemns_nothing",
        ],
        "tests/storage/test_contract.py": ["test_a_body_that_is_not_its_digest_is_refused_where_that_is_claimed"],
    },
    Row.S3_PARTS: {
        "tests/storage/test_contract.py": [
            "test_parts_put_in_any_order_become_one_object",
            "test_a_part_put_again_with_other_bytes_takes_the_place_of_the_first_or_is_refused",
        ],
        "tests/storage/test_filesystem.py": ["test_parts_other_than_those_recorded_are_not_made_an_object"],
        "tests/pipeline/test_transfer_failures.py": ["test_what_cannot_be_gone_on_with_is_dropped_and_begun_anew"],
    },
    Row.S3_FRAMING: {
        "tests/storage/test_probe.py": [
            "test_an_endpoint_that_stores_other_bytes_than_it_is_sent_is_refused",
            "test_the_canary_shows_the_damage_seen_in_the_wild",
        ],
    },
    Row.S3_ABANDONED: {
        "tests/pipeline/test_transfer_failures.py": [
            "test_uploads_that_nobody_goes_on_with_are_swept_after_a_day_and_foreign_ones_left_alone",
            "test_an_upload_that_a_live_worker_is_at_is_not_swept_however_old_it_is",
        ],
        "tests/faults/test_crash_leftovers.py": ["test_an_upload_begun_in_the_instant_before_a_crash_is_known_by_its_key"],
    },
    Row.S3_OCCUPIED: {
        "tests/pipeline/test_transfer.py": [
            "test_a_foreign_object_under_our_key_is_left_alone_and_parked_as_a_conflict",
            "test_a_name_with_a_digest_that_holds_other_bytes_is_a_conflict",
        ],
        "tests/storage/test_contract.py": ["test_a_second_creation_is_refused_and_the_first_object_stays"],
    },
    Row.S3_TAMPERED: {
        "tests/evidence/test_fixity.py": [
            "test_missing_mismatched_and_untracked_are_told_apart_and_named",
            "test_a_bit_flipped_at_rest_is_found_by_reading_back_whatever_the_store_attests",
            "test_a_hidden_object_is_delete_marked_and_keeps_its_state",
            "test_a_lock_that_is_gone_shorter_or_weaker_is_unlocked_and_one_that_is_over_is_not",
        ],
    },
    Row.S3_SLOW: {
        "tests/pipeline/test_budget.py": [
            "test_sixty_four_transfers_at_once_hold_no_more_than_the_budget_and_all_end",
            "test_nobody_reads_from_a_provider_without_budget_for_what_comes",
        ],
        "tests/storage/test_s3_wire.py": ["test_a_connection_on_which_nothing_moves_is_given_up"],
    },
    Row.DB_LOCKED: {
        "tests/catalog/test_sqlite_faults.py": [
            "test_a_file_locked_by_another_process_is_waited_for",
            "test_a_reader_that_turns_writer_cannot_lose_to_a_snapshot",
        ],
        "tests/catalog/test_claims.py": ["test_two_processes_that_race_for_rows_of_one_sqlite_file_share_them_without_an_error"],
    },
    Row.DB_RACES: {
        "tests/catalog/test_faults.py": [
            "test_a_deadlock_is_run_again_and_both_units_are_done",
            "test_a_serialization_failure_is_run_again",
            "test_a_race_that_never_ends_is_told_after_a_few_tries",
        ],
    },
    Row.DB_OLD_READER: {
        "tests/faults/test_strangers.py": [
            "test_a_reader_who_never_ends_holds_up_nobody",
            "test_rows_that_a_stranger_holds_are_passed_over_and_the_others_worked_on",
        ],
        "tests/ledger/test_seal.py": ["test_a_late_transaction_comes_into_a_later_segment"],
    },
    Row.DB_MIGRATION: {
        "tests/migrations/test_migrations.py": [
            "test_an_upgrade_that_fails_at_any_statement_leaves_all_or_nothing_and_finishes_the_next_time",
            "test_a_process_killed_in_the_middle_of_an_upgrade_leaves_nothing_in_the_way_of_the_next",
            "test_of_two_processes_that_upgrade_at_once_one_waits_and_finds_it_done",
            "test_an_older_program_refuses_a_newer_schema_and_touches_nothing",
        ],
    },
    Row.DB_RESTORED: {
        "tests/retention/test_disasters.py": [
            "test_a_catalog_restored_from_an_older_copy",
            "test_an_empty_catalog_deletes_nothing_of_a_full_archive",
        ],
        "tests/ledger/test_seal.py": ["test_a_catalog_older_than_its_archive_stops_sealing_and_overwrites_nothing"],
    },
    Row.LOOP_BLOCKED: {
        "tests/catalog/test_claims.py": ["test_what_a_worker_is_still_at_is_not_given_to_it_again_though_its_own_lease_ran_out"],
        "tests/pipeline/test_pump_and_catalog.py": [
            "test_a_worker_whose_heartbeats_fail_for_minutes_goes_on_with_its_own_transfers_and_begins_none_of_them_again"
        ],
    },
    Row.SECRET_FILES: {
        "tests/config/test_secret.py": [
            "test_a_missing_secret_file_a_directory_and_one_that_cannot_be_read_are_told_apart",
            "test_a_rotated_secret_is_picked_up_and_a_half_done_rotation_is_not",
        ],
        "tests/config/test_bad_input.py": ["test_an_unusable_secret_file_is_refused_with_its_path"],
        "tests/web/test_access.py": ["test_a_rotated_token_and_password_count_within_a_minute"],
    },
    Row.BACKFILL_BESIDE: {
        "tests/pipeline/test_backfill.py": [
            "test_beside_a_daemon_both_archive_everything_once",
            "test_killed_between_two_days_it_goes_on_with_the_rest",
        ],
        "tests/acceptance/test_commands.py": ["test_a_backfill_killed_in_the_middle_goes_on_and_lists_no_finished_day_again"],
    },
    Row.RETENTION_TWICE: {
        "tests/retention/test_commands.py": ["test_apply_does_exactly_the_plan_and_a_second_time_nothing"],
        "tests/retention/test_release.py": ["test_nobody_lists_the_source_meanwhile"],
    },
    Row.DELETE_ANSWERS: {
        "tests/retention/test_release.py": [
            "test_an_answer_that_is_lost_behind_the_deletion_is_settled_by_asking",
            "test_an_answer_of_success_proves_nothing",
            "test_what_the_provider_lists_again_is_not_deleted_over_and_over",
        ],
    },
    Row.SIGTERM: {
        "tests/acceptance/test_commands.py": [
            "test_a_second_signal_stops_at_once_and_hands_claims_back",
            "test_what_is_not_done_within_the_drain_is_handed_back_within_thirty_seconds",
        ],
        "tests/faults/test_one_shot_ends.py": [
            "test_a_catalog_that_takes_nothing_for_five_minutes_ends_the_run_with_its_error",
            "test_told_to_stop_meanwhile_it_ends_within_half_a_minute",
        ],
    },
    Row.KILL: {
        "tests/faults/test_crash_process.py": [
            "test_whatever_the_instant_of_its_death_a_process_did_the_beginning_and_nothing_of_its_cleaning_up"
        ],
        "tests/storage/test_filesystem.py": ["test_killed_at_any_step_it_holds_the_whole_object_or_none_and_heals"],
    },
}


class Passed:
    """Counts how the runs of each test ended, by `file::test` without its parameters."""

    def __init__(self):
        self.passed = Counter()
        self.others = Counter()

    def pytest_runtest_logreport(self, report):
        """One call a phase of a test; a skip in `setup` is an end, too."""
        name = report.nodeid.partition("[")[0]
        if report.outcome != "passed":
            self.others[name] += 1
        elif report.when == "call":
            self.passed[name] += 1


def named(rows=tuple(TESTS)):
    """Row by row the tests of it, as `file::test`."""
    found = defaultdict(list)
    for row in rows:
        for file, names in TESTS[row].items():
            found[row] += [f"{file}::{name}" for name in names]
    return found


def counted(rows, ended):
    """The reach of what passed, and what is wrong: tests that failed, were skipped or did not run at all."""
    reach, wrong = Reach("matrix"), []
    for row, names in named(rows).items():
        for name in names:
            reach.hit(row, ended.passed[name])
            if ended.others[name] or not ended.passed[name]:
                wrong.append(f"{row}: {name}: {ended.passed[name]} passed, {ended.others[name]} did not")
    return reach, wrong


def main(words=None):
    """Exit code 1 where a test failed or did not run."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix", description=__doc__.splitlines()[0])
    parser.add_argument("row", nargs="*", choices=[[], *(row.name for row in TESTS)], metavar="ROW")
    given = parser.parse_args(words)
    rows = [Row[name] for name in given.row] or list(TESTS)
    ended = Passed()
    names = dict.fromkeys(name for tests in named(rows).values() for name in tests)
    pytest.main(["-q", "-m", "faults or not faults", "-p", "no:cacheprovider", *names], plugins=[ended])
    reach, wrong = counted(rows, ended)
    reach.save()
    tried = f"{ended.passed.total() + ended.others.total():,} cases of {len(names)} tests over {len(rows)} rows"
    print(*wrong, f"tried {tried}: found {len(wrong)} that failed or did not run", sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
