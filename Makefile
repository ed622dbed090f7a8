.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON := .trainyard/venv/bin/python
# Which of the checkout's local platforms: that of make demo, or with PLACE=scenario that of make scenario.
export OPS_PLACE := $(PLACE)

.PHONY: help
help: ## Say what each verb does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: install ## Start the local platform, run the main job on three public months, print what came of it
	@$(PYTHON) -m ops demo

.PHONY: scenario
scenario: install ## Drive a bad month, from alarm to rollback, on a local platform of its own, begun anew
	@$(PYTHON) -m ops scenario

.PHONY: start
start: install ## Start the local platform, and nothing else
	@$(PYTHON) -m ops start

.PHONY: stop
stop: ## End every process of the local platform; its data stays in .trainyard
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m ops stop; else echo "Nothing was ever started here"; fi

.PHONY: status
status: ## Say what of the local platform runs, and where
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m ops status; else echo "Nothing was ever started here"; fi

.PHONY: env
env: ## Print the environment of the local platform: eval "$$(make -s env)" points prefect and mlflow at it
	@$(PYTHON) -m ops env

# By the environment, which make gives them: their words may hold quotes.
.PHONY: rollback
rollback: install ## Put the version TO of MODEL, or else the one before, in service; by OPERATOR, for REASON
	@$(PYTHON) -m ops.rollback --model "$$MODEL" --to "$$TO" --operator "$$OPERATOR" --reason "$$REASON"
.PHONY: reconcile
reconcile: install ## Say what crashes left behind on the local platform; REPAIR=1 repairs it
	@$(PYTHON) -m ops reconcile $(if $(REPAIR),--repair)

.PHONY: reproduce
reproduce: install ## Train VERSION of MODEL anew from its record alone, with THREADS, and compare the bytes
	@$(PYTHON) -m ops reproduce --version "$(VERSION)" $(if $(MODEL),--model "$(MODEL)") $(if $(THREADS),--threads "$(THREADS)")

.PHONY: tune
tune: install-tests ## Search for MODEL's parameters, TRIALS in all, on the months it would be trained on, to be judged by UNTIL or the newest
	@$(PYTHON) -m ops tune $(if $(MODEL),--model "$(MODEL)") $(if $(UNTIL),--until "$(UNTIL)") $(if $(TRIALS),--trials "$(TRIALS)")

.PHONY: kind-up
kind-up: install ## Make a kind cluster with the whole platform on it, or repair and upgrade the one there is
	@$(PYTHON) -m ops.kind up

.PHONY: kind-deploy
kind-deploy: install ## Push HEAD to the cluster's git server and let its deployments run it
	@$(PYTHON) -m ops.kind deploy

.PHONY: kind-demo
kind-demo: install ## Run the main job on three public months there, as Jobs; deploys first where HEAD is not deployed
	@$(PYTHON) -m ops.kind demo

.PHONY: kind-status
kind-status: install ## Say what of the platform runs on the cluster, and where
	@$(PYTHON) -m ops.kind status

.PHONY: kind-env
kind-env: install ## Print the environment, passwords among it, that points kubectl, prefect and mlflow at the cluster
	@$(PYTHON) -m ops.kind env

.PHONY: kind-down
kind-down: install ## Remove the cluster with everything on it
	@$(PYTHON) -m ops.kind down

.PHONY: install
install: ## Install what the local platform needs into .trainyard/venv
	@ops/bootstrap ops

.PHONY: install-tests
install-tests: ## Install what the suites and the linters need as well
	@ops/bootstrap tests

.PHONY: test
test: install-tests ## Run every suite that can run here, name each test that cannot and why; STRICT=1 fails on those, LEAVE_OUT are not run
	@$(PYTHON) -m tests.suites $(if $(STRICT),--strict) $(foreach suite,$(LEAVE_OUT),--leave-out $(suite))

.PHONY: unit
unit: install-tests ## Run the unit tests: no network, no server
	@$(PYTHON) -m tests.suites unit $(if $(STRICT),--strict)

.PHONY: platform
platform: install-tests ## Run the tests of images, chart and manifests: no cluster
	@$(PYTHON) -m tests.suites platform $(if $(STRICT),--strict)

.PHONY: integration
integration: install-tests ## Run the tests against real S3, Prefect and MLflow servers
	@$(PYTHON) -m tests.suites integration $(if $(STRICT),--strict)

.PHONY: demo-tests
demo-tests: install-tests ## Run the tests of make demo, on a clean clone
	@$(PYTHON) -m tests.suites demo $(if $(STRICT),--strict)

.PHONY: cluster
cluster: install-tests ## Run the tests of the whole platform on a kind cluster
	@$(PYTHON) -m tests.suites cluster $(if $(STRICT),--strict)

.PHONY: terraform
terraform: install-tests ## Run the tests that plan Terraform's modules and environments, make an account on a stand-in for AWS, and destroy it
	@$(PYTHON) -m tests.suites terraform $(if $(STRICT),--strict)

.PHONY: faults
faults: install-tests ## Run the tests of what becomes of runs on a kind cluster whose pod, servers or worker are taken away
	@$(PYTHON) -m tests.suites faults $(if $(STRICT),--strict)

.PHONY: installs
installs: install-tests ## Run the tests of installations beside the platform on a kind cluster: upgraded, on Postgres, wrong
	@$(PYTHON) -m tests.suites installs $(if $(STRICT),--strict)

.PHONY: kills
kills: install-tests ## Kill flows at their calls to S3 and MLflow, let these go wrong; EVERY_CALL=1 at every one; print the table
	@$(PYTHON) -m tests.suites kills $(if $(STRICT),--strict)

.PHONY: evaluate
evaluate: install-tests ## Judge the models of this checkout against those of BASE or main, by slice, on the month UNTIL or the newest
	@$(PYTHON) -m ops.evaluate --base "$(BASE)" --until "$(UNTIL)"

.PHONY: lint
lint: install-tests ## Check style, types, imports, prefect.yaml, Dockerfile, chart, Terraform and docs; STRICT=1 fails where a check cannot run
	@$(PYTHON) -m ops.lint $(if $(STRICT),--strict)

.PHONY: format
format: install-tests ## Format the code
	@.trainyard/venv/bin/ruff format . && .trainyard/venv/bin/ruff check --fix --quiet .

.PHONY: chart-docs
chart-docs: install-tests ## Write docs/values.md, the reference of the chart's values
	@$(PYTHON) -m ops.chart_values

.PHONY: terraform-values
terraform-values: install ## Write the chart's values of the AWS account that Terraform made; print the file's path
	@$(PYTHON) -m ops.terraform

.PHONY: database-secrets
database-secrets: install ## Print the logins of that account's database as Kubernetes Secrets, passwords among it; OWNER=1: the owner's, too
	@$(PYTHON) -m ops.database_secrets $(if $(OWNER),--owner)

.PHONY: lock
lock: install-tests ## Compile the locks anew; UPGRADE=1 takes the newest versions
	@PATH="$(CURDIR)/.trainyard/venv/bin:$$PATH" ops/lock $(if $(UPGRADE),--upgrade)

.PHONY: images
images: install ## Build the images whose content changed; print their tags, sizes and import time
	@$(PYTHON) -m ops.images

# Of a deploy. With ENVIRONMENT it runs in a Job on the cluster of the kubeconfig, else from here. What is not set is left out.
DEPLOY = $(PYTHON) -m ops.deploy $(if $(ENVIRONMENT),submit)
DEPLOYED = $(foreach name,ENVIRONMENT IMAGE REGISTRY REPOSITORY,$(if $($(name)),--$(shell echo $(name) | tr A-Z a-z) "$($(name))")) \
  $(if $(TRUST_IMAGE),--trust-image)

.PHONY: deploy-check
deploy-check: install ## Say whether prefect.yaml is one to deploy, before anything is touched; needs no server
	@$(PYTHON) -m ops.deploy check

.PHONY: deploy-plan
deploy-plan: install ## Say what a deploy of HEAD would change; ENVIRONMENT, REGISTRY or IMAGE say where and in what
	@$(DEPLOY) plan $(DEPLOYED)

.PHONY: deploy
deploy: install ## Deploy HEAD: image and commit, schedules, parameters; keeps paused what is paused
	@$(DEPLOY) apply $(DEPLOYED)

# By the environment, which make gives it: whoever starts a rollback writes what is in TO.
.PHONY: deploy-rollback
deploy-rollback: install ## Return to the deploy before, or to that of the commit TO
	@$(DEPLOY) rollback $(DEPLOYED) --to "$${TO:-previous}"

.PHONY: smoke
smoke: install ## Run smoke/platform and a reconcile that changes nothing, by what is deployed; say how they ended
	@$(DEPLOY) smoke $(DEPLOYED)

.PHONY: chart-upgrade
chart-upgrade: install ## Upgrade the installed chart where it, its images in REGISTRY or the files VALUES changed
	@$(PYTHON) -m ops.deploy chart-upgrade $(foreach file,$(VALUES),--values "$(file)") \
	  $(if $(ENVIRONMENT),--environment "$(ENVIRONMENT)") $(if $(REGISTRY),--registry "$(REGISTRY)") $(if $(TRUST_IMAGE),--trust-image)

.PHONY: push-images
push-images: install ## Build and push the images that REGISTRY lacks; print the digests of all
	@$(PYTHON) -m ops.registry "$(REGISTRY)"

.PHONY: sign-images
sign-images: install ## Sign what was pushed to REGISTRY from here, with provenance and SBOM; by KEY, or keyless in a workflow
	@$(PYTHON) -m ops.signing sign --registry "$(REGISTRY)" $(if $(KEY),--key "$(KEY)" --public-key "$(PUBLIC_KEY)")

.PHONY: verify-image
verify-image: install ## Check signature, provenance and SBOM of IMAGE, or of this checkout's images in REGISTRY; by KEY or keyless
	@$(PYTHON) -m ops.signing verify --registry "$(REGISTRY)" --image "$(IMAGE)" --key "$(KEY)"

.PHONY: sbom
sbom: install-tests ## Write the bill of materials (CycloneDX) of the environment, or of a built IMAGE
	@$(PYTHON) -m ops.sbom --image "$(IMAGE)"

.PHONY: sbom-diff
sbom-diff: install-tests ## Say which packages this checkout adds, removes and moves against BASE; without BASE, against main
	@$(PYTHON) -m ops.sbom_diff --base "$(BASE)"

.PHONY: scan-images
scan-images: install ## Look the images' packages up among known holes; fails where one has a fix
	@$(PYTHON) -m ops.scan

.PHONY: refresh
refresh: install-tests ## Take the newest packages into the locks, and Debian's fixes of today into the images
	@$(PYTHON) -m ops.refresh

.PHONY: refresh-pull-request
refresh-pull-request: install-tests ## In a workflow: push what refresh changed as a branch, open its pull request, start its CI
	@$(PYTHON) -m ops.refresh --pull-request

.PHONY: kubeconfig
kubeconfig: install ## Point kubectl at the EKS cluster CLUSTER in AWS_REGION; needs the AWS CLI
	@$(PYTHON) -m ops.kubeconfig --cluster "$(CLUSTER)" --region "$(AWS_REGION)"

.PHONY: bench
bench: install-tests ## Time the model against the course pipeline, score and train against their rows, and what the platform adds
	@for one in retrain score scale overhead; do $(PYTHON) -m benchmarks.$$one || exit 1; done

.PHONY: screenshots
screenshots: install-tests ## Take the pictures of the docs anew, after make kind-demo; needs Chromium
	@$(PYTHON) -m ops.screenshots
