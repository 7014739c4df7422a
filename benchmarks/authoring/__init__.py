"""How good the scripts are that `pawl new` gets written: requests, structural checks, recorded answers.

`requests.json` has the requests, each with the checks that a good answer to it passes. `answers/` has one good script
for each, `bad/` a few that must fail the checks that are named there: so the checks are tested without any model.
"""
