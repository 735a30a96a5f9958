"""Evaluators, a file each: which stages of a point a trial needs, and how their records become measures.

The file `NAME.py` has a function `NAME`, which takes the knobs of `conf/search/evaluator/NAME.yaml` and returns an
`Evaluator`, and says under OFFERS which measures that gives.
"""
