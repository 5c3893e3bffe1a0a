import boto3
import cfnresponse


def handler(event, context):
    try:
        data = {}
        if event["RequestType"] != "Delete":
            arn = event["ResourceProperties"]["ClusterArn"]
            answer = boto3.client("kafka").get_bootstrap_brokers(ClusterArn=arn)
            data["BootstrapServers"] = answer["BootstrapBrokerStringSaslIam"]
        cfnresponse.send(event, context, cfnresponse.SUCCESS, data, "brokers")
    except Exception as e:
        cfnresponse.send(event, context, cfnresponse.FAILED, {}, "brokers", reason=str(e))
