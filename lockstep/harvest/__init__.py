"""Turn logged requests and what people said about them into training data: `make harvest`.

Start reading in `__main__`. `logged_feedback` joins the log, `candidates` decides what becomes of
each request, `known_records` leaves out what training or the tests have already, and
`review_project` and `reviewed_answers` write and read the projects of Label Studio. No stage uses
this package.
"""
