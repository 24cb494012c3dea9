//! Questions to a person at a terminal, each with what holds if nothing is answered.

use std::io::{self, BufRead, Write};

use crate::cli::output::printable;
use crate::cli::{Failed, USAGE};

/// Where questions are asked and answers come from.
pub(super) struct Questions {
    answers: Box<dyn BufRead>,
    questions: Box<dyn Write>,
}

impl Questions {
    /// Standard output is left to what the command has to say.
    pub(super) fn on_terminal() -> Self {
        Self { answers: Box::new(io::stdin().lock()), questions: Box::new(io::stderr()) }
    }

    /// As if these lines were answered.
    #[cfg(test)]
    pub(super) fn answered(lines: &'static str) -> Self {
        Self { answers: Box::new(lines.as_bytes()), questions: Box::new(io::sink()) }
    }

    /// Says something.
    pub(super) fn say(&mut self, text: &str) {
        // A terminal that has gone is found out by the next question.
        let _ = writeln!(self.questions, "{text}");
    }

    /// Asks for a text; nothing answered is the proposal, or the empty text where there is none.
    pub(super) fn ask(&mut self, question: &str, proposal: &str) -> Result<String, Failed> {
        let asked = match proposal {
            "" => write!(self.questions, "{question} "),
            proposal => write!(self.questions, "{question} [{}] ", printable(proposal)),
        };
        let mut answer = String::new();
        let read = asked.and_then(|()| self.questions.flush()).and_then(|()| self.answers.read_line(&mut answer));
        if read.unwrap_or_default() == 0 {
            return Err(Failed::new(USAGE, "the question was not answered; nothing was changed"));
        }
        let answer = answer.trim();
        Ok(if answer.is_empty() { proposal.to_owned() } else { answer.to_owned() })
    }

    /// Asks until the answer is understood.
    pub(super) fn ask_for<T>(
        &mut self,
        question: &str,
        proposal: &str,
        mut understand: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<T, Failed> {
        loop {
            let answer = self.ask(question, proposal)?;
            match understand(&answer) {
                Ok(understood) => return Ok(understood),
                Err(wrong) => self.say(&printable(&wrong)),
            }
        }
    }

    /// Asks for one of a list, by its number or by its own text; another text is an answer, too.
    pub(super) fn choose(&mut self, question: &str, all: &[String]) -> Result<String, Failed> {
        for (number, one) in (1..).zip(all) {
            self.say(&format!("  {number}  {}", printable(one)));
        }
        let answer = self.ask(question, all.first().map_or("", |_| "1"))?;
        let numbered = answer.parse::<usize>().ok().and_then(|number| all.get(number.checked_sub(1)?));
        Ok(numbered.cloned().unwrap_or(answer))
    }

    /// Asks for yes or no.
    pub(super) fn agree(&mut self, question: &str, proposal: bool) -> Result<bool, Failed> {
        let question = format!("{question} {}", if proposal { "[Y/n]" } else { "[y/N]" });
        self.ask_for(&question, "", |answer| match answer.to_ascii_lowercase().as_str() {
            "" => Ok(proposal),
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("`y` or `n` is expected".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_answered_is_what_was_proposed() {
        let mut person = Questions::answered("\n  other \n\n2\nelse\n");
        assert_eq!(person.ask("Which?", "this").unwrap(), "this");
        assert_eq!(person.ask("Which?", "this").unwrap(), "other");
        let all = ["a".to_owned(), "b".to_owned()];
        assert_eq!(person.choose("Which?", &all).unwrap(), "a");
        assert_eq!(person.choose("Which?", &all).unwrap(), "b");
        assert_eq!(person.choose("Which?", &all).unwrap(), "else");
        assert!(person.ask("Which?", "this").is_err());
    }

    #[test]
    fn yes_and_no_are_asked_for_until_one_is_given() {
        let mut person = Questions::answered("perhaps\nY\n\nno\n");
        assert!(person.agree("Well?", false).unwrap());
        assert!(person.agree("Well?", true).unwrap());
        assert!(!person.agree("Well?", true).unwrap());
        assert!(person.agree("Well?", true).is_err());
    }
}
