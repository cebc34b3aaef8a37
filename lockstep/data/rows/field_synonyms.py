"""Names that public files give to turns, to their parts, and to fields beside a conversation."""

CONVERSATIONAL_FORMATS = frozenset([
    "alpaca", "messages", "sharegpt", "turns", "prompt_completion", "preference",
    "unpaired_preference",
])  # fmt: skip
"""Formats whose rows may have the fields of this module; in others, such a name is a column like
any other (`system` may be an operating system)."""

SYSTEM = ("system", "system_prompt", "system_message")
"""Columns with a row's system message."""

TOOLS = ("tools", "functions", "available_tools")
"""Columns with the functions that the assistant may call."""

MEDIA = {
    **dict.fromkeys(("image", "images"), "images"),
    **dict.fromkeys(("audio", "audios"), "audio"),
    **dict.fromkeys(("video", "videos"), "video"),
}
"""Columns, and keys of turns, that hold what a text model cannot read."""

MEDIA_PARTS = {
    **dict.fromkeys(("image", "image_url", "input_image"), "images"),
    **dict.fromkeys(("audio", "audio_url", "input_audio", "output_audio"), "audio"),
    **dict.fromkeys(("video", "video_url", "input_video"), "video"),
}
"""Types of content parts that hold what a text model cannot read."""

WEIGHT = "weight"
"""Column with a number that multiplies the training weight of the source."""

TRAIN = "train"
"""Column that says whether a row may be learnt."""

VERDICT = "answer"
"""Column in which Prodigy says whether the annotator accepted the row."""

VERDICT_MARKS = ("_task_hash", "_input_hash")
"""Columns that show that a row is Prodigy's."""

NOT_ACCEPTED = ("reject", "ignore")
"""Verdicts on annotations that are wrong or were skipped."""

MARGIN = ("margin", "score")
"""Columns with the strength of a preference."""

SCORE_PAIRS = tuple(
    (pattern.format("chosen"), pattern.format("rejected"))
    for pattern in ("score_{}", "{}_score", "{}-score", "{}_rating", "{}-rating", "rating_{}")
)
"""Columns with the scores of the chosen and of the rejected answer."""

REJECT_REASON = "reject_reason"
"""Column that says why the rejected answer is worse; it becomes a slice."""

ROW_FIELDS = frozenset([*SYSTEM, *TOOLS, *MEDIA, WEIGHT, TRAIN])
"""Columns that are read beside a conversation, in every conversational format."""

PREFERENCE_FIELDS = frozenset(
    [*MARGIN, *(name for pair in SCORE_PAIRS for name in pair), REJECT_REASON]
)
"""Columns that are read beside a preference."""

SPAN_COLUMNS = {
    "text": ("text",),
    "tokens": ("tokens", "words"),
    "spans": ("ner_tags", "spans", "entities", "label", "labels", "tags", "annotations"),
}
"""Columns of annotated texts for each field of the format spans; the first one is read."""

IGNORED_COLUMNS = frozenset([
    "id", "uid", "uuid", "idx", "index", "conversation_id", "prompt_id", "metadata", "meta",
    "model", "created", "created_at", "timestamp", "parallel_tool_calls", "tool_choice",
    "chat_template_kwargs",
])  # fmt: skip
"""Columns beside a conversation that say nothing about what is learnt."""

ROLE_KEYS = ("role", "from", "speaker", "author")
"""Keys of a turn that may name its role."""

CONTENT_KEYS = ("content", "value", "text", "message", "utterance", "refusal")
"""Keys of a turn that may hold its text."""

REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
"""Keys of a turn that may hold the reasoning before an answer."""

LEARNT_FLAGS = {
    **dict.fromkeys(
        ("weight", "train", "trainable", "training", "train_on_turn", "loss", "loss_weight"), True
    ),
    **dict.fromkeys(("mask", "masked"), False),
}
"""Keys of a turn that say whether it is learnt, and the value by which they say so."""

IGNORED_KEYS = frozenset([
    "id", "uid", "uuid", "message_id", "index", "idx", "turn", "turn_id", "round", "parent_id",
    "timestamp", "time", "date", "created", "created_at", "updated_at", "create_time",
    "update_time", "tokens", "token_count", "num_tokens", "usage", "model", "model_name",
    "finish_reason", "stop_reason", "logprobs", "annotations", "citations", "metadata",
    "cache_control", "language", "lang", "country", "hashed_ip", "header", "openai_id",
    "redacted", "state", "toxic", "turn_identifier", "parent_message_id", "user_id", "rank",
    "review_count", "review_result", "deleted", "synthetic", "emojis", "labels", "detoxify",
    "tree_state", "message_tree_id", "created_date", "temperature", "top_p",
])  # fmt: skip
"""Keys of a turn that say nothing about what is learnt. Those after `lang` are in WildChat and
OpenAssistant."""

REPLY_KEYS = ("replies", "children")
"""Keys of a turn that may hold the turns that answer it, as in a tree of turns."""

TURN_KEYS = frozenset([
    *ROLE_KEYS, *CONTENT_KEYS, *REASONING_KEYS, *LEARNT_FLAGS, *MEDIA, *IGNORED_KEYS,
    "tool_calls", "function_call", "tool_call_id", "name",
])  # fmt: skip
"""All keys of a turn that are known."""
