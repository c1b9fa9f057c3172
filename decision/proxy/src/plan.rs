//! `POST /aegis/v1/plan`: intended calls are judged and recorded, and nothing is sent, reserved or released.

use aegis_decision::codes::Code;
use aegis_decision::contract::DecisionInput;
use aegis_decision::decide::{self, Evidence};
use aegis_decision::facts::FactSet;
use aegis_decision::json;
use aegis_decision::naming::Malformed;
use aegis_decision::plan::{Judged, MAX_STEPS, Plan, Step};
use aegis_decision::record::Mode;
use aegis_decision::tool::Class;
use jiff::Timestamp;
use serde::Serialize;

use crate::answer::{Answer, Problem};
use crate::gate::Call;
use crate::ingress::{Arrived, malformed};
use crate::record::compose::{self, About, Approval};
use crate::state::View;

/// The first segment of the sidecar's own paths; no tool has this name.
pub const OWN: &str = "aegis";
/// Largest plan in bytes: 32 requests of ordinary size.
pub const MAX_BYTES: u32 = 1 << 20;

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
        if (http.method, http.path, http.query) != ("POST", "/v1/plan", None) {
            let detail = "of the sidecar's own paths there is POST /aegis/v1/plan".to_owned();
            return Problem::with_detail(Code::UnknownOperation, detail).into();
        }
        if let Err(code) = view.is_open_for(Class::Read, Timestamp::now()) {
            return code.into();
        }
        match read(arrived) {
            Ok((plan, delegation, run)) => self.plan(view, plan, delegation.as_deref(), run.as_deref()).await,
            Err(Malformed { code, detail, .. }) => Problem::with_detail(code, detail).into(),
        }
    }

    async fn plan(&self, view: &View, plan: Plan, delegation: Option<&str>, run: Option<&str>) -> Answer {
        let bundle = &view.policy.bundle;
        let mut steps = Vec::with_capacity(plan.steps.len());
        for step in plan.steps {
            let now = Timestamp::now();
            let input = step.into_input(bundle, delegation, run, now);
            match self.step(view, &input, now).await {
                Ok(judged) => steps.push(judged),
                Err(code) => return code.into(),
            }
        }
        // Steps are plain data: they always have a JSON form.
        Answer::Own(serde_json::to_vec(&Answered { plan: &self.id, steps }).unwrap_or_default().into())
    }

    /// Judges one step as the call would be judged now, but for its facts: they are not read.
    async fn step(&self, view: &View, input: &DecisionInput, now: Timestamp) -> Result<Judged, Code> {
        let (bundle, grants, shared) = (&view.policy.bundle, &view.grants, &self.worker.shared);
        let (about, decision) = match bundle.call_of_input(input) {
            Err(malformed) => (About::default(), decide::refused(bundle, &input.tool, malformed)),
            Ok(call) => {
                let about = bundle.tool(&call.tool).map(|tool| About::new(tool, &call)).unwrap_or_default();
                let run_view = shared.runs.view(bundle, &call, now);
                let evidence = Evidence {
                    standing: &grants.standing,
                    delegations: &grants.delegations,
                    facts: &FactSet::default(),
                    run: run_view.as_ref(),
                    releases: &grants.releases,
                };
                (about, decide::decide(bundle, call, &evidence, now))
            }
        };
        let id = compose::new_id();
        let (output, latency) = (&decision.output, self.arrived.elapsed());
        let mut record = compose::decision(&self.recorder, view, &id, about, output, Approval::default(), latency);
        record.mode = Mode::Plan;
        record.plan = Some(self.id.clone());
        self.recorder.refusal(record).await.map_err(|_| Code::RecordNotWritable)?;
        Ok(Judged::of(id, output))
    }
}

/// The plan, and the delegation and run that its headers name.
fn read(arrived: &Arrived) -> Result<(Plan, Option<String>, Option<String>), Malformed> {
    let http = arrived.http();
    let header = |name: &str| {
        let value = http.single_header(name).map_err(|error| malformed(Code::MalformedRequest, &error.to_string()))?;
        Ok(value.map(str::to_owned))
    };
    let json = header("content-type")?.is_some_and(|text| {
        text.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
    });
    if !json || header("content-encoding")?.is_some() {
        return Err(malformed(Code::UnsupportedMediaType, "send the plan as application/json"));
    }
    let plan: Plan = json::read(http.body)
        .map_err(|error| malformed(Code::MalformedBody, &format!("the body is no plan: {error}")))?;
    if plan.steps.is_empty() || plan.steps.len() > MAX_STEPS {
        return Err(malformed(Code::MalformedBody, &format!("steps: a plan has 1 to {MAX_STEPS} of them")));
    }
    if plan.steps.iter().any(|Step { http, operation, .. }| http.is_some() == operation.is_some()) {
        return Err(malformed(Code::MalformedBody, "steps: give each either as http or by operation and arguments"));
    }
    let trace_id = header("traceparent")?.and_then(|value| value.split('-').nth(1).map(str::to_owned));
    let run = header("aegis-run")?.filter(|run| run.len() <= 128).or(trace_id);
    Ok((plan, header("aegis-delegation")?, run))
}
