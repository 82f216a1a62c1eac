//! Table: `questions` and `question_votes`.
//!
//! SQL only; what may happen is decided in `questions`.
//! Invariant: `votes` is the number of rows in `question_votes`, and 0 for a merged question, whose rows have moved; every
//! change raises the question's version.

use super::questions::{Asked, State};
use crate::{
    clock::Millis,
    ids::{CustomerId, LiveId, ProductId, QuestionId},
    on,
    store::{StoreError, Tx},
    wire,
};

/// A question as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its id.
    pub id: QuestionId,
    /// Where it was asked.
    pub live_id: LiveId,
    /// Who asked.
    pub customer_id: CustomerId,
    /// What others see of who asked.
    pub author_name: String,
    /// The question.
    pub text: String,
    /// How many want to know too.
    pub votes: i32,
    /// Where it is.
    pub state: State,
    /// When it was asked.
    pub asked_at: Millis,
    /// Since the live went on air: where its answer begins in the replay, once it was put on air.
    pub chapter_at_ms: Option<i64>,
    /// What it is about.
    pub product_id: Option<ProductId>,
    /// Grows with every change.
    pub version: i64,
    /// Made by `hanamichi demo`.
    pub demo: bool,
}

#[derive(sqlx::FromRow)]
struct QuestionRow {
    id: QuestionId,
    live_id: LiveId,
    customer_id: CustomerId,
    author_name: String,
    text: String,
    votes: i32,
    state: String,
    asked_at_ms: Millis,
    answering_at_ms: Option<Millis>,
    answered_at_ms: Option<Millis>,
    chapter_at_ms: Option<i64>,
    product_id: Option<ProductId>,
    merged_into: Option<QuestionId>,
    version: i64,
    demo: bool,
}

impl From<QuestionRow> for Question {
    fn from(row: QuestionRow) -> Self {
        let state = match (row.state.as_str(), row.merged_into) {
            (_, Some(into)) => State::Merged { into },
            ("open", None) => State::Open,
            ("answering", None) => State::Answering { answering_at: row.answering_at_ms.unwrap_or(row.asked_at_ms) },
            ("answered", None) => State::Answered {
                answering_at: row.answering_at_ms,
                answered_at: row.answered_at_ms.unwrap_or(row.asked_at_ms),
            },
            // The CHECK of the column allows one more word.
            (_, None) => State::Hidden,
        };
        Self {
            id: row.id,
            live_id: row.live_id,
            customer_id: row.customer_id,
            author_name: row.author_name,
            text: row.text,
            votes: row.votes,
            state,
            asked_at: row.asked_at_ms,
            chapter_at_ms: row.chapter_at_ms,
            product_id: row.product_id,
            version: row.version,
            demo: row.demo,
        }
    }
}

impl Question {
    /// When it went on air.
    #[must_use]
    pub fn answering_at(&self) -> Option<Millis> {
        match self.state {
            State::Answering { answering_at } => Some(answering_at),
            State::Answered { answering_at, .. } => answering_at,
            State::Open | State::Hidden | State::Merged { .. } => None,
        }
    }

    /// When it was finished.
    #[must_use]
    pub fn answered_at(&self) -> Option<Millis> {
        match self.state {
            State::Answered { answered_at, .. } => Some(answered_at),
            State::Open | State::Answering { .. } | State::Hidden | State::Merged { .. } => None,
        }
    }

    /// The question that carries its votes.
    #[must_use]
    pub fn merged_into(&self) -> Option<&QuestionId> {
        match &self.state {
            State::Merged { into } => Some(into),
            State::Open | State::Answering { .. } | State::Answered { .. } | State::Hidden => None,
        }
    }

    /// As it goes to viewers; a hidden one without its words.
    #[must_use]
    pub fn to_wire(&self) -> wire::Question {
        let hidden = self.state == State::Hidden;
        wire::Question {
            id: self.id.to_string(),
            author_name: if hidden { String::new() } else { self.author_name.clone() },
            text: if hidden { String::new() } else { self.text.clone() },
            votes: self.votes,
            state: self.state.word().to_owned(),
            asked_at_ms: self.asked_at.0,
            answering_at_ms: self.answering_at().unwrap_or_default().0,
            answered_at_ms: self.answered_at().unwrap_or_default().0,
            version: self.version,
            demo: self.demo,
            chapter_at_ms: self.chapter_at_ms.unwrap_or_default(),
            product_id: self.product_id.as_ref().map(ProductId::to_string).unwrap_or_default(),
            merged_into: self.merged_into().map(QuestionId::to_string).unwrap_or_default(),
        }
    }
}

/// The columns, in one place.
macro_rules! columns {
    () => {
        "id, live_id, customer_id, author_name, text, votes, state, asked_at_ms, answering_at_ms, answered_at_ms,
         chapter_at_ms, product_id, merged_into, version, demo"
    };
}

/// What is known of a customer's earlier questions in a live.
pub(super) async fn asked(tx: &mut Tx, live: &LiveId, customer: &CustomerId) -> Result<Asked, StoreError> {
    let (open, last_at) = on!(tx, |conn| {
        sqlx::query_as::<_, (i64, Option<Millis>)>(
            "SELECT COUNT(CASE WHEN state IN ('open', 'answering') THEN 1 END), MAX(asked_at_ms)
             FROM questions
             WHERE live_id = $1 AND customer_id = $2",
        )
        .bind(live)
        .bind(customer)
        .fetch_one(conn)
        .await?
    });
    Ok(Asked { open, last_at })
}

pub(super) async fn insert(tx: &mut Tx, question: &Question) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query(concat!(
            "INSERT INTO questions (",
            columns!(),
            ")
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, NULL, NULL, NULL, $9, NULL, $10, $11)"
        ))
        .bind(&question.id)
        .bind(&question.live_id)
        .bind(&question.customer_id)
        .bind(&question.author_name)
        .bind(&question.text)
        .bind(question.votes)
        .bind(question.state.word())
        .bind(question.asked_at)
        .bind(&question.product_id)
        .bind(question.version)
        .bind(question.demo)
        .execute(conn)
        .await?;
    });
    Ok(())
}

pub(super) async fn find(tx: &mut Tx, question: &QuestionId) -> Result<Option<Question>, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, QuestionRow>(concat!("SELECT ", columns!(), " FROM questions WHERE id = $1"))
            .bind(question)
            .fetch_optional(conn)
            .await?
    });
    Ok(row.map(Question::from))
}

/// Locks the row until the transaction ends, and reads it.
pub(super) async fn find_locked(tx: &mut Tx, question: &QuestionId) -> Result<Option<Question>, StoreError> {
    on!(&mut *tx, |conn| {
        sqlx::query("UPDATE questions SET version = version WHERE id = $1").bind(question).execute(conn).await?;
    });
    find(tx, question).await
}

/// The question on air, if one is.
pub(super) async fn find_on_air(tx: &mut Tx, live: &LiveId) -> Result<Option<Question>, StoreError> {
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, QuestionRow>(concat!(
            "SELECT ",
            columns!(),
            " FROM questions WHERE live_id = $1 AND state = 'answering'"
        ))
        .bind(live)
        .fetch_optional(conn)
        .await?
    });
    Ok(row.map(Question::from))
}

/// Writes what was decided for a question that this transaction has locked.
pub(super) async fn update(tx: &mut Tx, question: &Question) -> Result<(), StoreError> {
    on!(tx, |conn| {
        sqlx::query(
            "UPDATE questions
             SET state = $2, answering_at_ms = $3, answered_at_ms = $4, version = $5, chapter_at_ms = $6,
                 product_id = $7, votes = $8, merged_into = $9
             WHERE id = $1",
        )
        .bind(&question.id)
        .bind(question.state.word())
        .bind(question.answering_at())
        .bind(question.answered_at())
        .bind(question.version)
        .bind(question.chapter_at_ms)
        .bind(&question.product_id)
        .bind(question.votes)
        .bind(question.merged_into())
        .execute(conn)
        .await?;
    });
    Ok(())
}

/// Moves the votes of one question to another, where each voter counts once and its author not at all; the votes it then has.
pub(super) async fn move_votes(tx: &mut Tx, from: &QuestionId, into: &Question) -> Result<i32, StoreError> {
    on!(&mut *tx, |conn| {
        sqlx::query(
            "INSERT INTO question_votes (question_id, customer_id, voted_at_ms)
             SELECT CAST($2 AS TEXT), v.customer_id, v.voted_at_ms
             FROM question_votes v
             WHERE v.question_id = $1 AND v.customer_id <> $3
             ON CONFLICT (question_id, customer_id) DO NOTHING",
        )
        .bind(from)
        .bind(&into.id)
        .bind(&into.customer_id)
        .execute(conn)
        .await?;
    });
    on!(&mut *tx, |conn| {
        sqlx::query("DELETE FROM question_votes WHERE question_id = $1").bind(from).execute(conn).await?;
    });
    let (votes,) = on!(tx, |conn| {
        sqlx::query_as::<_, (i64,)>("SELECT COUNT(*) FROM question_votes WHERE question_id = $1")
            .bind(&into.id)
            .fetch_one(conn)
            .await?
    });
    Ok(i32::try_from(votes).unwrap_or(i32::MAX))
}

/// What was merged into a question that is now merged itself follows its votes; the questions that changed.
pub(super) async fn follow_merge(
    tx: &mut Tx,
    from: &QuestionId,
    into: &QuestionId,
) -> Result<Vec<Question>, StoreError> {
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, QuestionRow>(concat!(
            "UPDATE questions SET merged_into = $2, version = version + 1 WHERE merged_into = $1 RETURNING ",
            columns!()
        ))
        .bind(from)
        .bind(into)
        .fetch_all(conn)
        .await?
    });
    Ok(rows.into_iter().map(Question::from).collect())
}

/// Counts a vote once; `None` when this customer has voted before.
pub(super) async fn vote(
    tx: &mut Tx,
    question: &QuestionId,
    customer: &CustomerId,
    now: Millis,
) -> Result<Option<Question>, StoreError> {
    let fresh = on!(&mut *tx, |conn| {
        sqlx::query(
            "INSERT INTO question_votes (question_id, customer_id, voted_at_ms)
             VALUES ($1, $2, $3)
             ON CONFLICT (question_id, customer_id) DO NOTHING",
        )
        .bind(question)
        .bind(customer)
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected()
    });
    if fresh == 0 {
        return Ok(None);
    }
    let row = on!(tx, |conn| {
        sqlx::query_as::<_, QuestionRow>(concat!(
            "UPDATE questions SET votes = votes + 1, version = version + 1 WHERE id = $1 RETURNING ",
            columns!()
        ))
        .bind(question)
        .fetch_optional(conn)
        .await?
    });
    Ok(row.map(Question::from))
}

/// Newest first, those asked before `before`; of one state, or all that are shown.
pub(super) async fn list(
    tx: &mut Tx,
    live: &LiveId,
    state: Option<&'static str>,
    before: Option<&QuestionId>,
    limit: i64,
) -> Result<Vec<Question>, StoreError> {
    let before = before.map_or("qst_zzzz", QuestionId::as_str);
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, QuestionRow>(concat!(
            "SELECT ",
            columns!(),
            " FROM questions
             WHERE live_id = $1 AND id < $2 AND (state = $3 OR ($3 = '' AND state NOT IN ('hidden', 'merged')))
             ORDER BY id DESC
             LIMIT $4"
        ))
        .bind(live)
        .bind(before)
        .bind(state.unwrap_or(""))
        .bind(limit)
        .fetch_all(conn)
        .await?
    });
    Ok(rows.into_iter().map(Question::from).collect())
}

/// Most votes first, of equal ones the oldest; those after the votes and id of `after`.
pub(super) async fn queue(
    tx: &mut Tx,
    live: &LiveId,
    state: Option<&'static str>,
    after: Option<&(i64, QuestionId)>,
    limit: i64,
) -> Result<Vec<Question>, StoreError> {
    let (votes, id) = after.map_or((i64::MAX, ""), |(votes, id)| (*votes, id.as_str()));
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, QuestionRow>(concat!(
            "SELECT ",
            columns!(),
            " FROM questions
             WHERE live_id = $1 AND (votes < $2 OR (votes = $2 AND id > $3))
               AND (state = $4 OR ($4 = '' AND state NOT IN ('hidden', 'merged')))
             ORDER BY votes DESC, id
             LIMIT $5"
        ))
        .bind(live)
        .bind(votes)
        .bind(id)
        .bind(state.unwrap_or(""))
        .bind(limit)
        .fetch_all(conn)
        .await?
    });
    Ok(rows.into_iter().map(Question::from).collect())
}

/// What was answered on air, in order of the replay; those after the place and id of `after`.
pub(super) async fn chapters(
    tx: &mut Tx,
    live: &LiveId,
    after: Option<&(i64, QuestionId)>,
    limit: i64,
) -> Result<Vec<Question>, StoreError> {
    let (chapter, id) = after.map_or((0, ""), |(chapter, id)| (*chapter, id.as_str()));
    let rows = on!(tx, |conn| {
        sqlx::query_as::<_, QuestionRow>(concat!(
            "SELECT ",
            columns!(),
            " FROM questions
             WHERE live_id = $1 AND state IN ('answering', 'answered')
               AND (chapter_at_ms > $2 OR (chapter_at_ms = $2 AND id > $3))
             ORDER BY chapter_at_ms, id
             LIMIT $4"
        ))
        .bind(live)
        .bind(chapter)
        .bind(id)
        .bind(limit)
        .fetch_all(conn)
        .await?
    });
    Ok(rows.into_iter().map(Question::from).collect())
}

/// Who voted for the shown questions of a live since one of them, the newest ones first.
pub(super) async fn voters(
    tx: &mut Tx,
    live: &LiveId,
    oldest: &QuestionId,
    limit: i64,
) -> Result<Vec<(QuestionId, CustomerId)>, StoreError> {
    Ok(on!(tx, |conn| {
        sqlx::query_as::<_, (QuestionId, CustomerId)>(
            "SELECT q.id, v.customer_id
             FROM questions q
             JOIN question_votes v ON v.question_id = q.id
             WHERE q.live_id = $1 AND q.id >= $2 AND q.state NOT IN ('hidden', 'merged')
             ORDER BY q.id DESC
             LIMIT $3",
        )
        .bind(live)
        .bind(oldest)
        .bind(limit)
        .fetch_all(conn)
        .await?
    }))
}
