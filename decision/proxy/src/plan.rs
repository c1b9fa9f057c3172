//! `POST /aegis/v1/plan`: intended calls are judged and recorded, and nothing is sent, reserved or released. What is no plan
//! is recorded as refused, under the plan's id.

use aegis_decision::codes::Code;
use aegis_decision::contract::DecisionInput;
use aegis_decision::decide::{self, Evidence};
use aegis_decision::facts::FactSet;
use aegis_decision::json::Value;
use aegis_decision::naming::Malformed;
use aegis_decision::plan::{Judged, Sent};
use aegis_decision::record::Mode;
use aegis_decision::tool::Class;
use jiff::Timestamp;
use serde::Serialize;

use crate::answer::Answer;
use crate::gate::Call;
use crate::ingress::Arrived;
use crate::patience::{PLAN_TIME, Together};
use crate::record::compose::{self, About, Approval};
use crate::state::View;

/// The first segment of the sidecar's own paths; no tool has this name.
pub const OWN: &str = "aegis";
/// Largest plan in bytes: 32 requests of 8 KiB.
pub const MAX_BYTES: u32 = 256 * 1024;

/// The answer.
#[derive(Debug, Serialize)]
struct Answered<'a> {
    /// Id of the plan, in the record of every step.
    plan: &'a str,
    steps: Vec<Judged>,
}

impl Call {
    /// Answers a request for one of the sidecar's own paths.
    pub(crate) async fn own(&mut self, view: &View, arrived: &Arrived) -> Answer {
        let http = arrived.http();
        let judged = if (http.method, http.path, http.query) != ("POST", "/v1/plan", None) {
            let detail = "of the sidecar's own paths there is POST /aegis/v1/plan";
            Err(Malformed::new(Code::UnknownOperation, detail))
        } else if let Err(code) = view.is_open_for(Class::Read, Timestamp::now()) {
            Err(Malformed::new(code, code.cause()))
        } else {
            match Sent::read(&http) {
                Ok(sent) => self.plan(view, sent).await.map_err(|code| Malformed::new(code, code.cause())),
                Err(malformed) => Err(malformed),
            }
        };
        match judged {
            Ok(answer) => answer,
            Err(malformed) => {
                let output = decide::malformed(&view.policy.bundle, arrived.tool(), malformed);
                self.refuse(view, About::default(), &output).await
            }
        }
    }

    async fn plan(&self, view: &View, Sent { plan, delegation, run }: Sent) -> Result<Answer, Code> {
        let bundle = &view.policy.bundle;
        let mut steps = Vec::with_capacity(plan.steps.len());
        let mut time = Together::new(PLAN_TIME);
        for step in plan.steps {
            let now = Timestamp::now();
            let input = step.into_input(bundle, delegation.as_deref(), run.as_deref(), now);
            steps.push(self.step(view, &input, now, &mut time).await?);
        }
        // Steps are plain data: they always have a JSON form.
        Ok(Answer::Own(serde_json::to_vec(&Answered { plan: &self.id, steps }).unwrap_or_default().into()))
    }

    /// Judges one step as the call would be judged now, but for its facts: they are not read.
    async fn step(
        &self,
        view: &View,
        input: &DecisionInput,
        now: Timestamp,
        time: &mut Together,
    ) -> Result<Judged, Code> {
        let (bundle, grants, shared) = (&view.policy.bundle, &view.grants, &self.worker.shared);
        let (about, sanitized, output) = match bundle.call_of_input(input) {
            Err(malformed) => (About::default(), None, decide::malformed(bundle, &input.tool, malformed)),
            Ok(call) => {
                let about = bundle.tool(&call.tool).map(|tool| About::new(tool, &call)).unwrap_or_default();
                let is_changed = !call.sanitation.changed.is_empty();
                let sanitized = is_changed.then(|| Value::clone(&call.arguments));
                let run_view = shared.runs.view(bundle, &call, now);
                let evidence = Evidence {
                    standing: &grants.standing,
                    delegations: &grants.delegations,
                    facts: &FactSet::default(),
                    run: run_view.as_ref(),
                    releases: &grants.releases,
                };
                let judged = time.decide(bundle, call, &evidence, now, shared.rego_time);
                (about, sanitized, judged.map_err(|_| Code::PolicyTimeout)?.output)
            }
        };
        let (id, latency) = (compose::new_id(), self.arrived.elapsed());
        let mut record = compose::decision(&self.recorder, view, &id, about, &output, Approval::default(), latency);
        record.mode = Mode::Plan;
        record.plan = Some(self.id.clone());
        self.recorder.refusal(record).await.map_err(|_| Code::RecordNotWritable)?;
        Ok(Judged::of(id, &output, sanitized))
    }
}
