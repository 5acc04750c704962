"""Writes the Parquet files of question_layouts: pip install pyarrow; python make_question_layouts.py

Their rows are made up; their schemas are those of the Hub's files.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent / "question_layouts"

texts = pa.list_(pa.string())


def write(name, columns, **options):
    pq.write_table(pa.table(columns), HERE / name, **options)


write(
    "trivia_qa.parquet",
    {
        "question": pa.array(["Which duck founded Oz?", "Which cat?"]),
        "question_id": pa.array(["mu_1", "mu_2"]),
        "question_source": pa.array(["http://example.org", "http://example.org"]),
        "search_results": pa.array(
            [{"title": [], "rank": []}, {"title": ["x"], "rank": [1]}],
            pa.struct([("title", texts), ("rank", pa.list_(pa.int32()))]),
        ),
        "answer": pa.array(
            [
                {
                    "aliases": ["Ada Duck", "A. Duck"], "normalized_aliases": ["ada duck", "a duck"],
                    "normalized_value": "ada duck", "value": "Ada Duck",
                },
                {
                    "aliases": [], "normalized_aliases": [], "normalized_value": "tom",
                    "value": "Tom",
                },
            ],
            pa.struct(
                [
                    ("aliases", texts), ("normalized_aliases", texts),
                    ("normalized_value", pa.string()), ("value", pa.string()),
                ]
            ),
        ),
    },
    compression="snappy",
)
write(
    "nq_open.parquet",
    {
        "question": pa.array(["who is the duck", "when was oz"]),
        "answer": pa.array([["Ada", "Ada Duck"], ["1969"]], texts),
    },
    compression="zstd",
)
write(
    "pop_qa.parquet",
    {
        "id": pa.array([4000000001, 4000000002], pa.int64()),
        "subj": pa.array(["Ada Duck", "Oz"]),
        "question": pa.array(["What is Ada Duck's job?", "What is the capital of Oz?"]),
        "possible_answers": pa.array(['["founder", "boss"]', '["Emerald City"]']),
    },
    compression="gzip",
)
write(
    "squad.parquet",
    {
        "id": pa.array(["s1", "s2"]),
        "title": pa.array(["Oz", "Oz"]),
        "context": pa.array(["Ada founded it.", "Nobody knows."]),
        "question": pa.array(["Who founded Oz?", "Who ended Oz?"]),
        "answers": pa.array(
            [{"text": ["Ada"], "answer_start": [0]}, {"text": [], "answer_start": []}],
            pa.struct([("text", texts), ("answer_start", pa.list_(pa.int32()))]),
        ),
    },
    compression="none",
)
write(
    "kilt.parquet",
    {
        "id": pa.array(["k1"]),
        "input": pa.array(["Who founded Oz?"]),
        "output": pa.array(
            [[{"answer": "Ada"}, {"answer": ""}]], pa.list_(pa.struct([("answer", pa.string())]))
        ),
    },
)
write(
    "natural_questions.parquet",
    {
        "id": pa.array(["-5"]),
        "document": pa.array([{"html": "<p>", "title": "Oz"}]),
        "question": pa.array([{"text": "who founded oz", "tokens": ["who", "founded", "oz"]}]),
        "annotations": pa.array(
            [
                {
                    "id": ["1", "2"], "yes_no_answer": [-1, -1],
                    "short_answers": [
                        {"start_token": [3], "end_token": [5], "text": ["Ada Duck"]},
                        {"start_token": [], "end_token": [], "text": []},
                    ],
                }
            ]
        ),
    },
)
