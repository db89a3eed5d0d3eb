//! The tests that rules carry, on the interpreter.

use sensor_rules::RuleSet;

/// Tries each rule on its own test events; how many there were.
///
/// # Errors
/// A line for each wrong answer.
pub fn run(rules: &RuleSet) -> Result<usize, Vec<String>> {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (number, rule) in rules.rules().iter().enumerate() {
        for example in &rule.examples {
            count += 1;
            let (place, event) = (&example.place, example.event.name());
            match sensor_rules::interpret(rules, example.event, &example.record) {
                Ok(verdict) => {
                    let matches = u32::try_from(number).is_ok_and(|number| verdict.matches(number));
                    if matches != example.matches {
                        let must = if example.matches { "must match" } else { "must not match" };
                        wrong.push(format!("{place}: rule `{}` {must} this {event}, and is wrong about it", rule.id));
                    }
                }
                Err(error) => wrong.push(format!("{place}: rule `{}` cannot be judged: {error}", rule.id)),
            }
        }
    }
    if wrong.is_empty() { Ok(count) } else { Err(wrong) }
}
